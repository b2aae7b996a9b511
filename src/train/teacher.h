// What a teacher says of the learned tokens: the likeliest of each row with their
// log-probabilities, computed once and kept in the run's folder, so that teacher and student are
// not in memory together. A file of records, one a text:
//   header  "sllmtch1", k (int64), SHA-256 of what the teacher is (64 digits)
//   record  key (32 digits), rows (int64), ids int32 [rows, k], log-probabilities f32 [rows, k],
//           logarithm of the other tokens' share f32 [rows], check (16 digits)
// appended as they are computed. The check covers header and record. Reading stops before the first
// record that it does not fit, and what is behind is computed again.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "io/model_source.h"
#include "models/model.h"
#include "ops/distillation.h"
#include "text/tokenizer.h"
#include "train/samples.h"

namespace sllm {

class TokenBridge;

// Rows of one text.
struct TeacherRows {
  std::vector<int32_t> ids;      // [rows, k], ascending in each row
  std::vector<float> log_probs;  // [rows, k]
  std::vector<float> log_rest;   // [rows]
};

// A model to learn from, loaded when something is to be computed.
struct TeacherModel {
  std::string hash;  // of its weights; empty: there is no teacher
  std::function<Result<std::shared_ptr<Model>>()> load;
  // Of a teacher with other tokens: what leads from them to the student's, and how it reads each of
  // the student's samples, by their keys (ReferenceLog::key); what it could not read is missing.
  std::shared_ptr<const TokenBridge> bridge = nullptr;
  std::shared_ptr<const std::unordered_map<std::string, Sample>> texts = nullptr;
  // Of a teacher that need not be asked: what it has said of the samples, by their keys.
  std::shared_ptr<const std::unordered_map<std::string, TeacherRows>> said = nullptr;
};

// kBadInput where a token of the student's is another one of the teacher's, or the teacher's
// vocabulary is the smaller one; what it has beyond the student's is left out. Of models without a
// tokenizer (null) the vocabularies must be of one size.
Status check_same_tokens(const Tokenizer* student, const Tokenizer* teacher,
                         const ModelConfig& student_config, const ModelConfig& teacher_config);

// Appends the row of these logits [V] at a temperature: the k likeliest tokens (of equals the lower
// id), in double precision.
void keep_likeliest(TeacherRows& rows, std::span<const float> logits, int64_t k,
                    double temperature);

class TeacherLog {
 public:
  // `teacher` names the model and how it computes. Errors: kResource, kUsage (folder).
  static Result<TeacherLog> open(const fs::path& path, const std::string& teacher, int64_t k);
  TeacherLog(TeacherLog&& other) noexcept { *this = std::move(other); }
  TeacherLog& operator=(TeacherLog&& other) noexcept;
  ~TeacherLog();

  bool has(const std::string& key) const { return offsets_.contains(key); }
  Status append(const std::string& key, const TeacherRows& rows);
  // After the last append, before find().
  Status map();
  // One for each learned row of a text that has().
  std::vector<TeacherRow> find(const std::string& key) const;
  int64_t k() const { return k_; }

 private:
  TeacherLog() = default;
  fs::path path_;
  std::string header_;
  int64_t k_ = 0;
  int fd_ = -1;
  uint64_t size_ = 0;
  std::unordered_map<std::string, uint64_t> offsets_;  // of records
  std::optional<MappedFile> file_;
};

}  // namespace sllm
