// Result<T>: how the library reports that data, a file, the network or the user's wish is wrong.
// Programming errors throw (base/check.h); kernels are noexcept; only src/cli prints or exits.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace sllm {

// The values are the program's exit codes.
enum class ErrorCode : int {
  kInternal = 1,
  kUsage = 2,     // command line or configuration
  kBadInput = 3,  // a file or data set is malformed or does not fit
  kResource = 4,  // no disk space or memory
  kNetwork = 5,
  kLocked = 6,     // another process holds the run or file
  kThreshold = 7,  // finished, but a quality threshold was not met
  kInterrupted = 130,
  kTerminated = 143,
};

// One sentence: what is wrong, where, what was expected; `hint` is the next thing to try.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
  std::string hint;

  // Prefixes the message: Error{"bad magic"}.context("model.gguf") reads "model.gguf: bad magic".
  Error context(std::string_view where) && {
    message = fmt::format("{}: {}", where, message);
    return std::move(*this);
  }
  std::string to_string() const {
    return hint.empty() ? message : fmt::format("{}. {}", message, hint);
  }
};

// What Result::value() throws when there is none.
struct ResultError : std::runtime_error {
  explicit ResultError(Error e) : std::runtime_error(e.to_string()), error(std::move(e)) {}
  Error error;
};

template <class... Args>
Error make_error(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  return Error{code, fmt::format(format, std::forward<Args>(args)...), {}};
}
template <class... Args>
Error bad_input(fmt::format_string<Args...> format, Args&&... args) {
  return make_error(ErrorCode::kBadInput, format, std::forward<Args>(args)...);
}
template <class... Args>
Error usage_error(fmt::format_string<Args...> format, Args&&... args) {
  return make_error(ErrorCode::kUsage, format, std::forward<Args>(args)...);
}
inline Error with_hint(Error e, std::string hint) {
  e.hint = std::move(hint);
  return e;
}

struct Ok {};

// A value of T or an Error. Result<> carries no value.
template <class T = Ok>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}
  Result(Error error) : state_(std::move(error)) {}
  template <class U>
  requires(std::is_convertible_v<U, T> && !std::is_same_v<std::decay_t<U>, T> &&
           !std::is_same_v<std::decay_t<U>, Error> && !std::is_same_v<std::decay_t<U>, Result>)
      Result(U&& value)
      : state_(std::in_place_index<0>, T(std::forward<U>(value))) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }

  // Throws ResultError when there is no value.
  T& value() & { return require(), std::get<0>(state_); }
  const T& value() const& { return require(), std::get<0>(state_); }
  // By value: for (auto& x : f().value()) must not outlive what it walks over.
  T value() && { return require(), std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  Result context(std::string_view where) && {
    if (!ok()) return std::move(std::get<1>(state_)).context(where);
    return std::move(*this);
  }

 private:
  void require() const {
    if (!ok()) throw ResultError(std::get<1>(state_));
  }
  std::variant<T, Error> state_;
};

using Status = Result<Ok>;
inline Status ok() { return Ok{}; }

#define SLLM_CONCAT_INNER(a, b) a##b
#define SLLM_CONCAT(a, b) SLLM_CONCAT_INNER(a, b)
// SLLM_TRY(auto config, parse(text)); declares `config` or returns the error to the caller.
#define SLLM_TRY(declaration, ...) \
  SLLM_TRY_INNER(SLLM_CONCAT(sllm_result_, __LINE__), declaration, __VA_ARGS__)
#define SLLM_TRY_INNER(result, declaration, ...)      \
  auto result = (__VA_ARGS__);                        \
  if (!result.ok()) return std::move(result).error(); \
  declaration = std::move(result).value()
// SLLM_OK(write(file)); returns the error of a Status to the caller.
#define SLLM_OK(...)                                         \
  do {                                                       \
    if (auto sllm_status = (__VA_ARGS__); !sllm_status.ok()) \
      return std::move(sllm_status).error();                 \
  } while (false)

}  // namespace sllm
