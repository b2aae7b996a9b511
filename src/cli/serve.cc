// sllm serve: the OpenAI API, retrieval and the chat page over one model.
#include "serve/server.h"

#include <cstdlib>
#include <iostream>

#include "base/events.h"
#include "cli/commands.h"
#include "cli/model_flags.h"
#include "ground/index.h"
#include "hub/resolve.h"
#include "io/model_source.h"

namespace sllm::cli {
namespace {

struct Flags {
  std::string model, name, mode = "fast", index;
  std::vector<std::string> adapters;  // NAME=DIR or DIR
  EngineOptions engine;
  ServerOptions server;
};

Numerics numerics_of(const std::string& mode) {
  return mode == "exact" ? Numerics::kExact : mode == "bf16" ? Numerics::kBf16 : Numerics::kFast;
}

// "polite=runs/polite" is served as "polite"; without a name, as the folder's.
Status add_adapter(const std::string& value, Flags& flags) {
  const size_t equals = value.find('=');
  const std::string folder = equals == std::string::npos ? value : value.substr(equals + 1);
  fs::path path = fs::path(folder).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  const std::string own = model_name(path);
  const std::string name = equals == std::string::npos ? own : value.substr(0, equals);
  if (name.empty() || own.empty()) return usage_error("--adapter {}: expected NAME=FOLDER", value);
  if (!flags.server.service.adapters.emplace(name, own).second)
    return usage_error("--adapter {}: the name is given twice", name);
  flags.engine.adapters.push_back(path.string());
  return ok();
}

Status run(Flags& flags, const Globals& globals) {
  SLLM_TRY(const fs::path path, resolve_model(flags.model));
  for (const std::string& adapter : flags.adapters) SLLM_OK(add_adapter(adapter, flags));
  std::shared_ptr<const GroundedAnswerer> answerer;
  if (!flags.index.empty()) {
    SLLM_TRY(auto index, Index::open(flags.index));
    answerer = make_grounded_answerer(std::move(index));
  }
  // Environment variables do not show in process lists, as flags do.
  if (const char* key = std::getenv("SLLM_API_KEY"); key && *key)
    flags.server.access.api_keys.emplace_back(key);
  flags.engine.numerics = numerics_of(flags.mode);
  SLLM_OK(resolve_draft(flags.engine));
  SLLM_TRY(auto engine, Engine::open(path, flags.engine));
  if (flags.name.empty()) flags.name = model_name(path);
  flags.server.service.model_name = flags.name;
  flags.server.service.version = SLLM_VERSION;
  SLLM_TRY(const auto server, Server::open(flags.server, engine, answerer));
  if (globals.json) {
    print_json("serve", {{"url", server->url()},
                         {"port", server->port()},
                         {"model", flags.name},
                         {"context", engine->options().context},
                         {"mode", flags.mode}});
  } else {
    std::cout << fmt::format(
        "{} is served at {}\n  chat page   {}/\n  OpenAI API  {}/v1\nCtrl-C stops.\n", flags.name,
        server->url(), server->url(), server->url());
  }
  std::cout << std::flush;
  return server->run();
}

}  // namespace

Action declare_serve(CLI::App& app, const Globals& globals) {
  auto flags = std::make_shared<Flags>();
  flags->engine.max_sequences = 8;
  app.add_option("-m,--model", flags->model, "GGUF file, Hugging Face folder or name")->required();
  app.add_option("--name", flags->name, "The model's name in the API; default: the file's");
  app.add_option("--host", flags->server.host, "Address to listen on")->capture_default_str();
  app.add_option("--port", flags->server.port, "Port; 0: any free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  app.add_option("--api-key", flags->server.access.api_keys,
                 "Key that clients must send (may be given again; better: SLLM_API_KEY)");
  app.add_flag("--insecure-no-auth", flags->server.insecure_no_auth,
               "Let everyone in who reaches a --host beyond this machine");
  app.add_option("--allow-host", flags->server.access.allowed_hosts,
                 "A name by which clients reach this server (may be given again)");
  app.add_option("--allow-origin", flags->server.access.allowed_origins,
                 "A web site whose pages may call this server (may be given again)");
  app.add_option(
      "--adapter", flags->adapters,
      "NAME=PATH of a LoRA adapter: a PEFT or mlx-lm folder, or a GGUF LoRA (may be given "
      "again)");
  app.add_option("--index", flags->index, "Index of documents (sllm index) to answer from");
  app.add_option("-c,--context", flags->engine.context, "Context in tokens; 0: what fits")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 24));
  add_kv_flag(app, flags->engine.kv);
  app.add_option("--parallel", flags->engine.max_sequences, "Answers written at the same time")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("--queue", flags->engine.queue_limit, "Requests that may wait; more get 429")
      ->check(CLI::Range(0, 65536))
      ->capture_default_str();
  app.add_option("--prefix-cache", flags->engine.prefix_cache,
                 "Tokens kept of earlier requests, for prompts that begin like them; 0: none")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 24))
      ->capture_default_str();
  add_guessing_flags(app, flags->engine);
  app.add_option("--mode", flags->mode, "Numerics: exact, bf16 or fast")
      ->check(CLI::IsMember({"exact", "bf16", "fast"}))
      ->capture_default_str();
  app.add_option("-t,--threads", flags->engine.threads, "Threads; 0: all usable cores")
      ->check(CLI::Range(0, 1024));
  return [flags, &globals] { return run(*flags, globals); };
}

}  // namespace sllm::cli
