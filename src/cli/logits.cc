// sllm logits: what a model says about the next token, to compare it with another program.
#include <bit>
#include <cstring>
#include <iostream>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/model_flags.h"
#include "cli/token_lists.h"

namespace sllm::cli {
namespace {

struct Flags {
  ModelFlags model;
  std::string ids, ids_file, out;
  int64_t batch = 1, chunk = 512;
};

// NumPy's .npy, version 1.0: a little-endian float32 matrix in C order.
Status write_npy(const std::string& path, const std::vector<std::vector<float>>& rows) {
  std::string header =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows.size(),
                  rows.empty() ? 0 : rows.front().size());
  // The 10 bytes before it, the header and its newline fill whole blocks of 64.
  header.append(63 - (10 + header.size()) % 64, ' ') += '\n';
  std::string start("\x93NUMPY\x01\x00", 8);
  start += static_cast<char>(header.size() & 0xff);
  start += static_cast<char>(header.size() >> 8);
  SLLM_TRY(AtomicFile file, AtomicFile::create(path));
  SLLM_OK(file.write(start + header));
  for (const auto& row : rows) SLLM_OK(file.write(std::as_bytes(std::span(row))));
  return file.commit();
}

Status run(const Flags& flags) {
  std::vector<std::vector<TokenId>> prompts;
  if (!flags.ids_file.empty()) {
    SLLM_TRY(prompts, read_ids_file(flags.ids_file));
  } else {
    SLLM_TRY(auto ids, parse_ids(flags.ids));
    prompts.push_back(std::move(ids));
  }
  EngineOptions options;
  options.prefill_chunk = flags.chunk;
  SLLM_TRY(const auto engine, open_engine(flags.model, options));
  std::vector<std::vector<float>> rows;
  for (size_t first = 0; first < prompts.size(); first += static_cast<size_t>(flags.batch)) {
    SLLM_OK(check_stop());
    const size_t end = std::min(prompts.size(), first + static_cast<size_t>(flags.batch));
    SLLM_TRY(auto some, engine->logits(std::vector(prompts.begin() + static_cast<long>(first),
                                                   prompts.begin() + static_cast<long>(end))));
    for (auto& row : some) rows.push_back(std::move(row));
  }
  if (!flags.out.empty()) return write_npy(flags.out, rows);
  nlohmann::ordered_json logits = rows;
  print_json("logits", {{"model", flags.model.model},
                        {"mode", flags.model.mode},
                        {"logits", flags.ids_file.empty() ? logits.front() : logits}});
  return ok();
}

}  // namespace

Action declare_logits(CLI::App& app, const Globals&) {
  auto flags = std::make_shared<Flags>();
  add_model_flags(app, flags->model, "exact");
  auto* prompt = app.add_option_group("prompt", "What to read (one of these)");
  prompt->add_option("--ids", flags->ids, "Token ids: 1,2,3");
  prompt->add_option("--ids-file", flags->ids_file, "Many prompts: a JSON array of id arrays");
  prompt->require_option(1);
  app.add_option("-o,--out", flags->out,
                 "Write a float32 .npy matrix [prompts, V] instead of JSON");
  app.add_option("--batch", flags->batch, "Prompts read together")->check(CLI::Range(1, 4096));
  app.add_option("--chunk", flags->chunk, "Rows per step")->check(CLI::Range(1, 65536));
  return [flags] { return run(*flags); };
}

}  // namespace sllm::cli
