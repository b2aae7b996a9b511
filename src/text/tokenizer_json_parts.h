// The parts of tokenizer.json that are lists of steps.
#pragma once

#include "text/json_part.h"
#include "text/tokenizer_spec.h"

namespace sllm::tokenizer_json {

// Reads normalizer, pre_tokenizer and decoder; sets spec.byte_level where there is a ByteLevel
// step. Errors: kBadInput naming the step that is not known or the field that is malformed.
Status read_steps(const JsonPart& root, TokenizerSpec& spec);

}  // namespace sllm::tokenizer_json
