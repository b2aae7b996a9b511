// Contracts between parts of the program. A broken one is a bug here, not bad data: it throws, so a
// server answers 500 and lives on.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <source_location>
#include <stdexcept>
#include <string>

namespace sllm {

struct ContractError : std::logic_error {
  using std::logic_error::logic_error;
};

[[noreturn]] inline void contract_failed(std::string message, const char* file, int line) {
  throw ContractError(fmt::format("{} ({}:{})", message, file, line));
}

// SLLM_CHECK(w.cols() == K, "linear: weight {} does not fit K={}", w.shape(), K);
#define SLLM_CHECK(condition, ...)                                           \
  do {                                                                       \
    if (!(condition)) [[unlikely]]                                           \
      ::sllm::contract_failed(fmt::format(__VA_ARGS__), __FILE__, __LINE__); \
  } while (false)

}  // namespace sllm
