// What a licence means for the people who build with a model: may its result be sold?
#pragma once

#include <string>
#include <string_view>

#include "base/file.h"

namespace sllm {

enum class Commercial { kYes, kConditions, kNo, kUnknown };

struct LicenceTerms {
  std::string id;  // SPDX where there is one, else the name that the hub uses
  Commercial commercial = Commercial::kUnknown;
  std::string condition;          // in a few words; what kNo forbids
  std::string to_string() const;  // "Apache-2.0: commercial use is allowed"
};

// By id or the hub's name, whatever the case: "apache-2.0", "llama3.2", "gemma". Unknown ones are
// kUnknown: a person must read them, and until then the model counts as non-commercial. This is a
// summary for choosing, no legal advice.
LicenceTerms licence_terms(std::string_view id);

// `license` in the YAML front matter of a model card (README.md); for "other", `license_name`.
// "" when there is none.
std::string licence_of_card(std::string_view readme);

// Of a model that is on this machine: the card beside it or above it in its repository, else the
// catalogue's entry for the repository in whose cache folder it lies; "" when neither says.
std::string licence_of_cached(const fs::path& model);

}  // namespace sllm
