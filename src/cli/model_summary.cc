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
  std::error_code error;
  if (fs::is_directory(out, error))
    return with_hint(
        usage_error("{}: is a folder; a GGUF file is to be written here", out.string()),
        "Choose another name for the file");
  for (const fs::path& input : inputs)
    if (fs::equivalent(out, input, error))
      return with_hint(usage_error("{}: would be replaced, but it is what is read", out.string()),
                       "Choose another name for the output");
  return ok();
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
