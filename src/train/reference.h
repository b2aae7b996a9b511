// Log-probabilities of texts under the reference, the model as it is before tuning: computed once
// and kept in the run's folder, so that no second model is needed in memory. A line per text:
//   <key> <log-probability> <check>
// appended as it is computed. The check covers the line and what the reference is (base, numerics,
// adapter to start from); lines that it does not fit, torn ones and another model's, are dropped.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/file.h"
#include "base/result.h"
#include "train/samples.h"

namespace sllm {

class ReferenceLog {
 public:
  // `reference` names the model and how it computes. Errors: kResource, kUsage (folder).
  static Result<ReferenceLog> open(const fs::path& path, const std::string& reference);
  ReferenceLog(ReferenceLog&& other) noexcept
      : path_(std::move(other.path_)),
        reference_(std::move(other.reference_)),
        fd_(std::exchange(other.fd_, -1)),
        values_(std::move(other.values_)) {}
  ReferenceLog& operator=(ReferenceLog&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(reference_, other.reference_);
    std::swap(fd_, other.fd_);
    std::swap(values_, other.values_);
    return *this;
  }
  ~ReferenceLog();

  // What a text is known by: a hash of its ids and of what is learned of it.
  static std::string key(const Sample& sample);
  std::optional<double> find(const std::string& key) const;
  Status append(const std::string& key, double log_probability);

 private:
  ReferenceLog(fs::path path, std::string reference)
      : path_(std::move(path)), reference_(std::move(reference)) {}
  std::string line(const std::string& key, double value) const;

  fs::path path_;
  std::string reference_;
  int fd_ = -1;
  std::unordered_map<std::string, double> values_;
};

}  // namespace sllm
