// sllm doctor: what this machine offers, and what stands in the way.
#include <sys/statvfs.h>
#include <sys/utsname.h>

#include <fstream>
#include <iostream>

#include "base/thread_pool.h"
#include "cli/commands.h"
#include "hub/cache.h"
#include "hub/hub_api.h"
#include "kernels/table.h"
#include "net/http.h"

namespace sllm::cli {
namespace {

struct Finding {
  std::string what, value;
  bool good = true;
  std::string advice;
};

int64_t meminfo_kb(const std::string& key) {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key + ":"))
      return std::strtoll(line.c_str() + key.size() + 1, nullptr, 10);
  return 0;
}

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name"))
      return line.substr(std::min(line.size(), line.find(':') + 2));
  return "unknown";
}

double free_gigabytes(const fs::path& path) {
  fs::path existing = path;
  std::error_code error;
  while (!existing.empty() && !fs::exists(existing, error)) existing = existing.parent_path();
  struct statvfs disk {};
  if (::statvfs(existing.empty() ? "." : existing.c_str(), &disk) != 0) return 0;
  return static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize) / 1e9;
}

Finding instruction_set() {
  const auto& active = kernels::active();
  if (!active.ok()) return {"instruction set", active.error().message, false, active.error().hint};
  std::string all;
  for (const auto* level : kernels::supported_levels())
    all += (all.empty() ? "" : ", ") + std::string(level->name);
  const bool fast = std::string_view((*active)->name) != "scalar";
  return {"instruction set", fmt::format("{} (of {})", (*active)->name, all), fast,
          fast ? "" : "Without AVX2 everything works, but slowly"};
}

Finding memory() {
  const double total = static_cast<double>(meminfo_kb("MemTotal")) / 1e6,
               available = static_cast<double>(meminfo_kb("MemAvailable")) / 1e6;
  return {"memory", fmt::format("{:.1f} GB, {:.1f} GB available", total, available), available >= 1,
          available >= 1 ? "" : "Tuning the smallest model needs about 1 GB"};
}

std::vector<Finding> findings(bool offline) {
  std::vector<Finding> out;
  utsname system{};
  ::uname(&system);
  out.push_back({"sllm", SLLM_VERSION});
  out.push_back(
      {"system", fmt::format("{} {} {}", system.sysname, system.release, system.machine)});
  out.push_back({"processor", processor()});
  out.push_back({"cores", fmt::format("{} usable", usable_cores())});
  out.push_back(instruction_set());
  out.push_back(memory());
  const fs::path cache = hub_cache_dir();
  const double room = free_gigabytes(cache), here = free_gigabytes(fs::current_path());
  out.push_back({"model cache", fmt::format("{}, {:.1f} GB free", cache.string(), room), room >= 1,
                 room >= 1 ? "" : "Free some space, or set HF_HOME to a larger disk"});
  out.push_back({"this folder", fmt::format("{:.1f} GB free", here), here >= 1,
                 here >= 1 ? "" : "A project needs about 1 GB"});
  if (!offline && !hub_offline()) {
    HttpOptions options;
    options.connect_timeout = options.timeout = std::chrono::seconds(5);
    options.attempts = options.connect_attempts = 1;
    const std::string hub = hub_endpoint();
    const auto reply = http_request(HttpMethod::kHead, hub + "/", options);
    out.push_back({"network", hub + (reply.ok() ? " can be reached" : " cannot be reached"),
                   reply.ok(),
                   reply.ok() ? "" : "Models from a Python package or from files still work"});
  }
  return out;
}

}  // namespace

Action declare_doctor(CLI::App& app, const Globals& globals) {
  const auto offline = std::make_shared<bool>(false);
  app.add_flag("--offline", *offline, "Do not try the network");
  return [=, &globals]() -> Status {
    const std::vector<Finding> list = findings(*offline);
    if (globals.json) {
      nlohmann::ordered_json checks = nlohmann::ordered_json::array();
      for (const Finding& f : list)
        checks.push_back(
            {{"what", f.what}, {"value", f.value}, {"ok", f.good}, {"advice", f.advice}});
      print_json("doctor", {{"checks", checks}});
      return ok();
    }
    for (const Finding& f : list) {
      std::cout << fmt::format("{} {:<16} {}\n", f.good ? "✓" : "!", f.what, f.value);
      if (!f.advice.empty()) std::cout << fmt::format("  {:<16} {}\n", "", f.advice);
    }
    return ok();
  };
}

}  // namespace sllm::cli
