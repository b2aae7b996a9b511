// Which format a template is taken for, and what is said of one that was changed.
#include "text/template_family.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sllm {
namespace {

using ::testing::HasSubstr;

// As the model's file holds it.
const std::string kSmolLm =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ "
    "'<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
    "Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + "
    "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ "
    "'<|im_start|>assistant\n' }}{% endif %}";

TEST(TemplateFamily, KnowsAPublishedTemplateAndWhatItAdds) {
  const TemplateIdentity t = identify_template(kSmolLm + "\n", "<s>", "</s>");
  EXPECT_EQ(t.family, "ChatML");
  EXPECT_EQ(t.known_as, "SmolLM2 Instruct");
  EXPECT_EQ(t.difference, "adds a system prompt where none is given");
}

TEST(TemplateFamily, FindsWhatWasChanged) {
  std::string changed = kSmolLm;
  changed.replace(changed.rfind("assistant"), 9, "bot");
  const TemplateIdentity t = identify_template(changed, "<s>", "</s>");
  EXPECT_EQ(t.family, "ChatML");
  EXPECT_EQ(t.known_as, "");
  EXPECT_THAT(t.others, HasSubstr("Qwen2.5 Instruct"));
  EXPECT_THAT(t.difference, HasSubstr("<|im_start|>bot"));
}

TEST(TemplateFamily, TheFormatItselfDiffersInNothing) {
  const TemplateIdentity t = identify_template(
      "{{ bos_token }}{% for m in messages %}[INST]{{ m.content }}[/INST]{% endfor %}", "<s>",
      "</s>");
  EXPECT_EQ(t.family, "Mistral");
  EXPECT_THAT(t.difference, HasSubstr("[INST]Zero"));  // every role between the marks
  EXPECT_EQ(identify_template("{{ messages[0].content }}", "", "").family, "");
}

}  // namespace
}  // namespace sllm
