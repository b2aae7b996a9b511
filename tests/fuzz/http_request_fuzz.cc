// Bodies of API requests, to whichever endpoint the first byte chooses: parsed and judged, never
// run. What is accepted must keep the promises that the engine relies on.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "serve/access.h"
#include "serve/api_request.h"
#include "serve/reply.h"

namespace {

void require(bool good) {
  if (!good) std::abort();
}

void check(const sllm::GenerationParams& p, int64_t vocab) {
  require(p.n >= 1 && p.n <= sllm::kMaxChoices);
  require(!p.max_tokens || *p.max_tokens >= 0);
  require(std::isfinite(p.sampling.temperature) && p.sampling.temperature >= 0);
  require(p.sampling.top_p >= 0 && p.sampling.top_p <= 1 && p.sampling.top_k >= 0);
  require(p.stop.size() <= sllm::kMaxStops && p.top_logprobs <= sllm::kMaxTopLogprobs);
  for (const auto& [id, bias] : p.sampling.logit_bias)
    require(id >= 0 && id < vocab && std::abs(bias) <= 100);
}

template <class Request>
void judge(const sllm::ApiResult<Request>& request) {
  if (request.ok()) return;
  require(request.error().status >= 400 && request.error().status < 500);
  require(sllm::to_wire(sllm::to_json(request.error())).size() < 4096);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  constexpr int64_t kVocab = 1000;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 5) {
    case 0: {
      const auto request = sllm::parse_chat_request(body, kVocab);
      judge(request);
      if (request.ok()) check(request.value(), kVocab), require(!request.value().messages.empty());
      break;
    }
    case 1: {
      const auto request = sllm::parse_completion_request(body, kVocab);
      judge(request);
      if (request.ok()) check(request.value(), kVocab), require(!request.value().prompts.empty());
      break;
    }
    case 2:
      judge(sllm::parse_embedding_request(body, kVocab));
      break;
    case 3:
      judge(sllm::parse_ask_request(body));
      break;
    default: {
      static const sllm::Access access({.api_keys = {"k"}, .allowed_origins = {"http://a"}});
      (void)access.check_host(body);
      (void)access.check_origin(body, body.substr(body.size() / 2));
      (void)access.caller(body).ok();
    }
  }
  return 0;
}
