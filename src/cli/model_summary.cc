#include "cli/model_summary.h"

#include <iostream>
#include <vector>

namespace sllm::cli {

nlohmann::ordered_json types_json(const WrittenModel& model) {
  nlohmann::ordered_json out = nlohmann::ordered_json::object();
  for (const auto& [type, bytes] : model.bytes_by_type)
    out[std::string(info(type).name)] = {{"tensors", model.tensors_by_type.at(type)},
                                         {"bytes", bytes}};
  return out;
}

std::string types_text(const WrittenModel& model) {
  std::vector<std::string> parts;
  for (const auto& [type, bytes] : model.bytes_by_type)
    parts.push_back(fmt::format("{} {} ({} tensors)", info(type).name, megabytes(bytes),
                                model.tensors_by_type.at(type)));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string megabytes(int64_t bytes) {
  const auto n = static_cast<double>(bytes);
  return n >= 1e9 ? fmt::format("{:.2f} GB", n / 1e9) : fmt::format("{:.1f} MB", n / 1e6);
}

Status check_output(const fs::path& out, const std::vector<fs::path>& inputs) {
  if (out.extension() != ".gguf") return check_replaceable(out, hf_folder_names(), inputs);
  return check_output_file(out, inputs);
}

Status check_output_file(const fs::path& out, const std::vector<fs::path>& inputs) {
  std::error_code error;
  if (fs::is_directory(out, error))
    return with_hint(usage_error("{}: is a folder; a file is to be written here", out.string()),
                     "Choose another name for the file");
  for (const fs::path& input : inputs)
    if (fs::equivalent(out, input, error))
      return with_hint(usage_error("{}: would be replaced, but it is what is read", out.string()),
                       "Choose another name for the output");
  return ok();
}

Result<uint64_t> parse_size(const std::string& text) {
  if (text.empty()) return uint64_t{0};
  constexpr std::pair<std::string_view, uint64_t> kUnits[] = {
      {"KB", 1000},   {"K", 1000},       {"MB", 1000000},
      {"M", 1000000}, {"G", 1000000000}, {"GB", 1000000000}};
  const size_t end = std::min(text.find_first_not_of("0123456789"), text.size());
  if (end >= 1 && end <= 9)
    for (const auto& [unit, bytes] : kUnits)
      if (text.substr(end) == unit && std::stoull(text) > 0) return std::stoull(text) * bytes;
  return with_hint(usage_error("--split-max-size {}: is not a size", text),
                   "Write a whole number with K, M or G: 500M, 2G");
}

void add_split_flag(CLI::App& app, std::string& size) {
  app.add_option("--split-max-size", size,
                 "Most tensor data in one file (500M, 2G); more makes parts that llama.cpp and "
                 "transformers read too");
}

void report_written(const Globals& globals, const std::string& command, const fs::path& out,
                    const WrittenModel& model) {
  if (globals.json)
    return print_json(
        command, {{"path", out.string()}, {"bytes", model.bytes}, {"types", types_json(model)}});
  std::cout << fmt::format("{}: {}\n  {}\n", out.string(), megabytes(model.bytes),
                           types_text(model));
}

}  // namespace sllm::cli
