#include "project/gate.h"

#include <thread>

#include "eval/answers.h"
#include "infer/engine.h"
#include "project/stage_bodies.h"
#include "serve/server.h"
#include "train/options.h"

namespace sllm::project {
namespace {

// A few seconds for a small model: all conversations are tokenized, few are computed. The first
// questions are held-out rows, for those are what the model is for.
Result<eval::SamenessOptions> gate_options(const Project& project, const StageContext& context) {
  constexpr size_t kOwnQuestions = 1;
  eval::SamenessOptions options;
  options.prompts = kGatePrompts, options.prompt_tokens = kGatePromptTokens;
  options.answers = kGateAnswers, options.answer_tokens = kGateAnswerTokens;
  options.counted = 4;
  options.threads = static_cast<int>(project.threads);
  options.progress = context.progress;
  SLLM_TRY(const auto rows, eval::read_test_rows(project.path(project.data.test)));
  for (size_t i = 0; i < std::min(kOwnQuestions, rows.size()); ++i)
    options.questions.push_back(rows[i].prompt);
  return options;
}

Status judge(const std::string& border, const eval::Sameness& sameness,
             const StageContext& context) {
  SLLM_OK(write_json(context.folder / "gate.json",
                     {{"border", border}, {"sameness", sameness.to_json()}}));
  if (sameness.same()) {
    log(LogLevel::kInfo, sameness.sentence());
    return ok();
  }
  return with_hint(make_error(ErrorCode::kThreshold, "{}", sameness.sentence()),
                   "The model that went in and the one that came out must be the same; sllm check "
                   "compares them again");
}

// The server of one comparison, running until it is left.
class RunningServer {
 public:
  static Result<std::unique_ptr<RunningServer>> start(const Project& project,
                                                      const fs::path& model) {
    EngineOptions engine_options;
    SLLM_TRY(engine_options.numerics, numerics_from_name(project.evaluate.mode));
    engine_options.threads = static_cast<int>(project.threads);
    engine_options.context = project.deploy.context;
    engine_options.max_sequences = 1;
    SLLM_TRY(auto engine, Engine::open(model, engine_options));
    ServerOptions options;
    options.port = 0;
    options.drain = std::chrono::seconds(1);
    options.service.model_name = project.name;
    auto running = std::make_unique<RunningServer>();
    SLLM_TRY(running->server_, Server::open(options, std::move(engine)));
    running->thread_ = std::thread([server = running->server_.get()] {
      if (const Status served = server->run(); !served.ok())
        log(LogLevel::kError, served.error().message);
    });
    return running;
  }
  ~RunningServer() {
    if (!thread_.joinable()) return;
    server_->stop();
    thread_.join();
  }
  std::string url() const { return server_->url(); }

 private:
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

}  // namespace

Status gate_files(const Project& project, const std::string& border, const eval::ArtefactName& a,
                  const eval::ArtefactName& b, const StageContext& context) {
  SLLM_TRY(const auto options, gate_options(project, context));
  SLLM_TRY(const eval::Sameness sameness, eval::compare_artefacts(a, b, options));
  return judge(border, sameness, context);
}

Status gate_server(const Project& project, const fs::path& model, const StageContext& context) {
  SLLM_TRY(const auto options, gate_options(project, context));
  SLLM_TRY(const auto server, RunningServer::start(project, model));
  SLLM_TRY(const eval::Sameness sameness,
           eval::compare_artefacts({model.string(), {}, {}}, {server->url(), {}, {}}, options));
  return judge("serve", sameness, context);
}

Result<GateResult> read_gate(const fs::path& folder) {
  SLLM_TRY(const Json json, read_json(folder / "gate.json"));
  GateResult out;
  out.border = json.value("border", std::string());
  SLLM_TRY(out.sameness, eval::Sameness::from_json(json.value("sameness", Json::object())));
  return out;
}

}  // namespace sllm::project
