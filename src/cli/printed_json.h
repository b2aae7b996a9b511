// Whether print_json() has been called: with --json, stdout holds one document.
#pragma once

namespace sllm::cli {

bool printed_json();

}  // namespace sllm::cli
