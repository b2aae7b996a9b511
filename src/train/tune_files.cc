// What a run's options name, opened, read and loaded.
#include <map>

#include "base/sha256.h"
#include "cpu/cpu_backend.h"
#include "models/registry.h"
#include "train/reference.h"
#include "train/said_rows.h"
#include "train/token_bridge.h"
#include "train/tune.h"

namespace sllm {
namespace {

// What the weights are, without reading them all: every tensor's name, type and shape, and its
// first bytes.
Result<std::string> fingerprint(const ModelSource& source) {
  Sha256 sha;
  for (const TensorInfo& t : source.tensors()) {
    SLLM_TRY(const Tensor tensor, source.tensor(t.name));
    sha.update(t.name);
    sha.update(tensor.to_string());
    const auto size = static_cast<size_t>(std::min<int64_t>(tensor.bytes(), 4096));
    sha.update(std::span(static_cast<const std::byte*>(tensor.raw()), size));
  }
  return sha.hex();
}

// How a teacher with other tokens reads the rows: by its own template, each sample beside the
// student's of the same row.
Result<TeacherModel> read_as_teacher(const TuneOptions& options, const Reader& student,
                                     const ModelSource& model,
                                     std::shared_ptr<const Tokenizer> tokenizer) {
  constexpr int64_t kLonger = 4;  // times as many tokens as the student's
  Reader teacher;
  teacher.tokenizer = tokenizer;
  SLLM_TRY(teacher.chat_template, ChatTemplate::of(model, *tokenizer));
  teacher.vocabulary = model.config().V;
  teacher.max_length = std::min(kLonger * options.max_length, model.config().max_context);
  const auto by_row = [](const SampleSet& set) {
    std::map<int64_t, std::vector<const Sample*>> rows;
    for (const Sample& sample : set.samples) rows[sample.row].push_back(&sample);
    return rows;
  };
  auto texts = std::make_shared<std::unordered_map<std::string, Sample>>();
  for (const fs::path& path : {options.data, options.eval}) {
    if (path.empty()) continue;
    SLLM_TRY(const SampleSet mine, read_samples(path, student));
    SLLM_TRY(const SampleSet theirs, read_samples(path, teacher));
    const auto rows = by_row(theirs);
    for (const auto& [row, samples] : by_row(mine))
      if (const auto at = rows.find(row);
          row >= 0 && samples.size() == 1 && at != rows.end() && at->second.size() == 1)
        (*texts)[ReferenceLog::key(*samples[0])] = *at->second[0];
  }
  TeacherModel reading;
  reading.texts = std::move(texts);
  reading.bridge =
      std::make_shared<TokenBridge>(student.tokenizer, std::move(tokenizer), student.vocabulary);
  return reading;
}

}  // namespace

Result<TuneFiles> open_tune_files(const TuneOptions& options) {
  SLLM_OK(validate(options));
  TuneFiles files;
  SLLM_TRY(files.source, open_model(options.model));
  SLLM_OK(check_generates(files.source->config()).context(options.model.string()));
  Reader reader;
  SLLM_TRY(reader.tokenizer, Tokenizer::of(*files.source));
  files.tokenizer = reader.tokenizer;
  SLLM_TRY(reader.chat_template, ChatTemplate::of(*files.source, *reader.tokenizer));
  reader.vocabulary = files.source->config().V;
  reader.max_length = std::min(options.max_length, files.source->config().max_context);
  const bool said_by_rows = options.teacher == kRowsTeacher;
  if (!options.teacher.empty() && !said_by_rows) {
    const std::string name = options.teacher.string();
    SLLM_TRY(files.teacher, open_model(options.teacher));
    SLLM_OK(check_generates(files.teacher->config()).context(name));
    SLLM_TRY(const auto tokenizer, Tokenizer::of(*files.teacher));
    Status same = check_same_tokens(reader.tokenizer.get(), tokenizer.get(), files.source->config(),
                                    files.teacher->config());
    if (!same.ok() && options.align_tokens && reader.tokenizer && tokenizer) {
      SLLM_TRY(files.reading, read_as_teacher(options, reader, *files.teacher, tokenizer));
    } else {
      SLLM_OK(std::move(same).context(name));
      reader.max_length = std::min(reader.max_length, files.teacher->config().max_context);
    }
  }
  const auto read = [&](const fs::path& path) {
    return options.objective == "sft"
               ? read_samples(path, reader)
               : read_preference_samples(path, reader, options.objective == "kto");
  };
  const auto said = std::make_shared<SaidRows>();
  const auto hear = [&](const fs::path& path, const SampleSet& samples) -> Status {
    if (!said_by_rows) return ok();
    SLLM_TRY(const std::string hash, sha256_file(path));
    files.reading.hash = sha256_hex(files.reading.hash + hash);
    const int64_t V = files.source->config().V;
    return add_said_rows(*said, path, samples, reader.tokenizer,
                         options.top_k > 0 ? std::min(options.top_k, V) : V, V);
  };
  SLLM_TRY(files.train, read(options.data));
  SLLM_OK(hear(options.data, files.train));
  if (said_by_rows) files.reading.said = said;
  if (!options.eval.empty()) {
    SLLM_TRY(files.eval, read(options.eval));
    SLLM_OK(hear(options.eval, files.eval));
  } else if (options.eval_fraction > 0 && files.train.items() > 1) {
    files.eval = split_off(files.train, options.eval_fraction, options.seed);
  }
  return files;
}

Result<LoadedTune> load_tune(const TuneOptions& options) {
  SLLM_TRY(TuneFiles files, open_tune_files(options));
  LoadedTune loaded;
  loaded.source = files.source;
  SLLM_TRY(loaded.model, Model::load(files.source));
  SLLM_TRY(loaded.base_hash, fingerprint(*files.source));
  if (files.teacher) {
    SLLM_TRY(loaded.teacher.hash, fingerprint(*files.teacher));
    loaded.teacher.load = [source = files.teacher] { return Model::load(source); };
    loaded.teacher.bridge = files.reading.bridge, loaded.teacher.texts = files.reading.texts;
  }
  if (files.reading.said) loaded.teacher = files.reading;
  loaded.backend = make_cpu_backend(options.threads);
  loaded.train = std::move(files.train), loaded.eval = std::move(files.eval);
  loaded.base_name = options.model.string();
  loaded.tokenizer = std::move(files.tokenizer);
  return loaded;
}

}  // namespace sllm
