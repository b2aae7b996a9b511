#include "text/template_family.h"

#include <algorithm>

#include "base/check.h"
#include "base/sha256.h"
#include "text/chat_template.h"

namespace sllm {
namespace {

// The formats, each as the shortest template that writes it. The first whose mark a source holds is
// its family, so narrower marks come first.
struct Family {
  const char *name, *mark, *canonical;
};
constexpr Family kFamilies[] = {
    {"ChatML", "<|im_start|>",
     "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}"
     "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"},
    {"Llama 3", "<|start_header_id|>",
     "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m.role + "
     "'<|end_header_id|>\\n\\n' + m.content + '<|eot_id|>' }}{% endfor %}{% if "
     "add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif "
     "%}"},
    {"Gemma", "<start_of_turn>",
     "{{ bos_token }}{% for m in messages %}{{ '<start_of_turn>' + ('model' if m.role == "
     "'assistant' else m.role) + '\\n' + m.content + '<end_of_turn>\\n' }}{% endfor %}{% if "
     "add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"},
    {"Granite", "<|start_of_role|>",
     "{% for m in messages %}{{ '<|start_of_role|>' + m.role + '<|end_of_role|>' + m.content + "
     "'<|end_of_text|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ "
     "'<|start_of_role|>assistant<|end_of_role|>' }}{% endif %}"},
    {"EXAONE", "[|assistant|]",
     "{% for m in messages %}{{ '[|' + m.role + '|]' + m.content + ('\\n' if m.role == 'user' else "
     "'[|endofturn|]\\n') }}{% endfor %}{% if add_generation_prompt %}{{ '[|assistant|]' }}{% "
     "endif "
     "%}"},
    {"DeepSeek", "<｜Assistant｜>",
     "{{ bos_token }}{% for m in messages %}{{ m.content if m.role == 'system' else "
     "'<｜User｜>' + m.content if m.role == 'user' else '<｜Assistant｜>' + m.content + "
     "'<｜end▁of▁sentence｜>' }}{% endfor %}{% if add_generation_prompt %}{{ "
     "'<｜Assistant｜>' }}{% endif %}"},
    {"Phi-3", "<|end|>",
     "{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content + '<|end|>\\n' }}{% endfor "
     "%}{% "
     "if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"},
    {"Llama 2", "<<SYS>>",
     "{% for m in messages %}{% if m.role == 'system' %}{% set system = '<<SYS>>\\n' + m.content + "
     "'\\n<</SYS>>\\n\\n' %}{% elif m.role == 'user' %}{{ bos_token + '[INST] ' + (system if "
     "system "
     "is "
     "defined and loop.index0 < 2 else '') + m.content + ' [/INST]' }}{% else %}{{ ' ' + m.content "
     "+ ' ' + eos_token }}{% endif %}{% endfor %}"},
    {"Mistral", "[INST]",
     "{{ bos_token }}{% for m in messages %}{{ '[INST]' + m.content + '[/INST]' if m.role == "
     "'user' "
     "else m.content + eos_token }}{% endfor %}"},
};

// Templates as their makers publish them: SHA-256 of the source without white space around it.
struct Known {
  const char *family, *name, *sha256;
};
constexpr Known kKnown[] = {
    {"ChatML", "SmolLM2 Instruct",
     "872be49dbb638044ad01b60388f48d469ff2980e5f0dccdc22ec907db54d0788"},
    {"ChatML", "Qwen2.5 Instruct",
     "55b2f4a26ac9ee719330a61a0c39d9e538b0e9322212f048326318cff4f8674a"},
    {"ChatML", "Qwen3", "87a2728cb8dc9fe424d624542f6060ec05a1d285ebbec578bb078900e33396b5"},
    {"ChatML", "QwQ", "cb2d7aa140bed098f4ac8ab1a403980e6768d58ec95ef701668fc7dd017e0762"},
    {"ChatML", "Hermes", "ce62e308475b364e1fc76699dccbddeb9ac08344f90d59719dba86a9922834d9"},
    {"Llama 3", "Llama 3.1 and 3.3 Instruct",
     "93c0e9aa3629bbd77e68dbc0f5621f6e6b23aa8d74b932595cdb8d64684526d7"},
    {"Llama 3", "Llama 3.2 Instruct",
     "d82792f95932f1c9cef5c4bd992f171225e3bf8c7b609b4557c9e1ec96be819f"},
    {"Granite", "Granite 3.3 Instruct",
     "d0657ba05651bd2134160e7a9fbe40f1aa51ecb6bc2724618e34b04466291f87"},
    {"DeepSeek", "DeepSeek R1 Distill",
     "56a1447ad31926fdc21fb07e56e5642bd9c850c4f52d8c8af7bbe5f079a84f5f"},
    {"Phi-3", "Phi-3.5 Instruct",
     "78d976a442bcde2f0be15aafbb8e3050e1104f86732266f68403251b89982a90"},
    {"Mistral", "Mistral Nemo Instruct",
     "e7deee034838db2bfc7487788a3013d8a307ab69f72f3c54a85f06fd76007d4e"},
};

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

const Family* family_of(std::string_view source) {
  for (const Family& family : kFamilies)
    if (source.find(family.mark) != source.npos) return &family;
  return nullptr;
}

std::string quoted(std::string_view text, size_t at) {
  size_t begin = at < 14 ? 0 : at - 14, end = std::min(text.size(), at + 40);
  const auto inside = [&](size_t i) { return i < text.size() && (text[i] & 0xc0) == 0x80; };
  while (inside(begin)) ++begin;
  while (inside(end)) ++end;
  return nlohmann::json(text.substr(begin, end - begin))
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// "" where both write the same.
std::string difference(const ChatTemplate& own, const ChatTemplate& canonical,
                       const Conversation& messages, const char* what) {
  RenderOptions options;
  options.add_generation_prompt = true;
  options.now = 0;
  const auto mine = own.render(messages, options), meant = canonical.render(messages, options);
  if (!meant.ok()) return "";
  if (!mine.ok()) return fmt::format("refuses {}: {}", what, mine.error().message);
  const std::string &x = mine->text, &y = meant->text;
  size_t at = 0;
  while (at < std::min(x.size(), y.size()) && x[at] == y[at]) ++at;
  if (at == x.size() && at == y.size()) return "";
  return fmt::format("writes {} for {}, where the format has {}", quoted(x, at), what,
                     quoted(y, at));
}

std::string difference(const std::string& source, const Family& family, const std::string& bos,
                       const std::string& eos) {
  const auto own = ChatTemplate::parse(source, bos, eos),
             canonical = ChatTemplate::parse(family.canonical, bos, eos);
  if (!own.ok()) return own.error().message;
  if (!canonical.ok()) return "";
  const Conversation turns = {{"user", "One", {}}, {"assistant", "Two", {}}, {"user", "Three", {}}};
  Conversation with_system = turns;
  with_system.insert(with_system.begin(), Message{"system", "Zero", {}});
  const std::string plain = difference(**own, **canonical, turns, "a plain conversation"),
                    system =
                        difference(**own, **canonical, with_system, "one with a system prompt");
  if (system.empty() && !plain.empty()) return "adds a system prompt where none is given";
  return system;  // there a default prompt does not hide the rest
}

}  // namespace

TemplateIdentity identify_template(const std::string& source, const std::string& bos,
                                   const std::string& eos) {
  TemplateIdentity out;
  const Family* family = family_of(source);
  if (!family) return out;
  out.family = family->name;
  const std::string hash = sha256_hex(trimmed(source));
  for (const Known& known : kKnown) {
    if (hash == known.sha256) out.known_as = known.name;
    if (out.family == known.family)
      out.others += (out.others.empty() ? "" : ", ") + std::string(known.name);
  }
  out.difference = difference(source, *family, bos, eos);
  return out;
}

std::string canonical_template(std::string_view family) {
  const auto* found = std::ranges::find(kFamilies, family, &Family::name);
  SLLM_CHECK(found != std::end(kFamilies), "no family of templates is called {}", family);
  return found->canonical;
}

}  // namespace sllm
