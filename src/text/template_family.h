// Which of the formats that people know a chat template writes, and whether it writes it as that
// format is meant.
#pragma once

#include <string>
#include <string_view>

namespace sllm {

struct TemplateIdentity {
  std::string family;  // "ChatML", "Llama 3", ...; "" when none is recognised
  // The models whose own template this is, letter by letter ("Qwen2.5 Instruct"); "" when it is
  // none that is known here.
  std::string known_as;
  std::string others;  // those known of this family, for people
  // How it renders a plain conversation differently from its family; "" when it does not.
  std::string difference;
};
// `bos` and `eos` as ChatTemplate::parse takes them.
TemplateIdentity identify_template(const std::string& source, const std::string& bos,
                                   const std::string& eos);

// The shortest template that writes a conversation as the family is meant. `family` must be known.
std::string canonical_template(std::string_view family);

}  // namespace sllm
