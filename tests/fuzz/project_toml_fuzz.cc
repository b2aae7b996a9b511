// sllm.toml from anywhere: refused with a sentence, or read.
#include <cstdint>
#include <string>

#include "project/project_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto project = sllm::project::parse_project(
      std::string(reinterpret_cast<const char*>(data), size), "f.toml");
  if (!project.ok() && project.error().message.empty()) __builtin_trap();
  if (project.ok() && (project->base.empty() || project->quantize.empty())) __builtin_trap();
  return 0;
}
