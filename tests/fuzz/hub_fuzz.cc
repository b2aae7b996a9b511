// What comes from the hub and from people: a list of files, a model card, names of models and
// files.
#include "hub/gguf_choice.h"
#include "hub/hub_api.h"
#include "hub/licence.h"
#include "hub/name.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto listing = sllm::parse_hub_listing(text, "fuzz"); listing.ok()) {
    for (const sllm::HubFile& file : listing->files)
      if (!sllm::is_safe_relative_path(file.path)) __builtin_trap();
    (void)sllm::choose_gguf(listing->paths(), "org/repo", "Q4_K_M");
  }
  (void)sllm::licence_of_card(text);
  (void)sllm::quant_label(text);
  (void)sllm::parts_of_split(std::string(text));
  if (const auto name = sllm::parse_hf_name(text); name.ok() && *name) {
    // What is printed is read as the same again.
    const auto again = sllm::parse_hf_name((*name)->to_string());
    if (!again.ok() || (*again)->file != (*name)->file || (*again)->quant != (*name)->quant ||
        (*again)->revision != (*name)->revision)
      __builtin_trap();
  }
  return 0;
}
