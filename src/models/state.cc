// Paged keys and values. A page is one allocation: for each layer the block of K, then of V, each
// [Hk][kBlockTokens][Dh], which is what the attention kernels read through KvView.
#include "models/state.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/check.h"
#include "base/checked.h"

namespace sllm {
namespace {
constexpr int64_t kTokens = KvView::kBlockTokens;

void store(DType type, void* to, const float* from, int64_t n) {
  switch (type) {
    case DType::kF32:
      std::memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
      break;
    case DType::kBF16:
      for (int64_t i = 0; i < n; ++i) static_cast<bf16*>(to)[i] = to_bf16(from[i]);
      break;
    default:
      for (int64_t i = 0; i < n; ++i) static_cast<f16*>(to)[i] = to_f16(from[i]);
  }
}
}  // namespace

struct StatePool::Impl {
  DType kv;
  int64_t L, Hk, Dh, total_pages, used_pages = 0;
  std::vector<void*> spare;  // pages given back: their memory is warm

  int64_t block_bytes() const { return bytes_of(kv, Hk * kTokens * Dh); }
  int64_t page_bytes() const { return 2 * L * block_bytes(); }
  ~Impl() {
    for (void* p : spare) std::free(p);
  }
};

using Page = std::shared_ptr<char>;

namespace {
Page take_page(const std::shared_ptr<StatePool::Impl>& pool) {
  if (pool->used_pages >= pool->total_pages) return nullptr;
  void* memory = nullptr;
  if (!pool->spare.empty()) {
    memory = pool->spare.back();
    pool->spare.pop_back();
  } else {
    memory = std::aligned_alloc(64, static_cast<size_t>(round_up(pool->page_bytes(), 64)));
    if (!memory) return nullptr;
  }
  ++pool->used_pages;
  return {static_cast<char*>(memory), [pool](char* p) {
            pool->spare.push_back(p);
            --pool->used_pages;
          }};
}
}  // namespace

StatePool::StatePool(const ModelConfig& config, DType kv, int64_t max_tokens)
    : impl_(std::make_shared<Impl>()) {
  SLLM_CHECK(kv == DType::kF32 || kv == DType::kF16 || kv == DType::kBF16,
             "state: keys and values are stored as F32, F16 or BF16, not {}", info(kv).name);
  impl_->kv = kv;
  impl_->L = config.L, impl_->Hk = config.Hk, impl_->Dh = config.Dh;
  impl_->total_pages = ceil_div(max_tokens, kTokens);
  impl_->spare.reserve(static_cast<size_t>(impl_->total_pages));  // giving back never allocates
}
StatePool::~StatePool() = default;
int64_t StatePool::free_tokens() const {
  return (impl_->total_pages - impl_->used_pages) * kTokens;
}
int64_t StatePool::bytes() const { return impl_->total_pages * impl_->page_bytes(); }
int64_t StatePool::bytes_per_token(const ModelConfig& config, DType kv) {
  return 2 * config.L * bytes_of(kv, config.Hk * config.Dh);
}

struct SequenceState::Impl {
  std::shared_ptr<StatePool::Impl> pool;
  std::vector<Page> pages;
  std::vector<std::vector<const void*>> k, v;  // [layer][block]: what KvView points at
  int64_t length = 0;

  char* block(int64_t layer, int64_t page, bool value) const {
    return pages[static_cast<size_t>(page)].get() + (2 * layer + value) * pool->block_bytes();
  }
  void point(int64_t page) {
    for (int64_t layer = 0; layer < pool->L; ++layer) {
      k[layer].resize(pages.size()), v[layer].resize(pages.size());
      k[layer][page] = block(layer, page, false), v[layer][page] = block(layer, page, true);
    }
  }
};

SequenceState::SequenceState(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SequenceState::SequenceState(StatePool& pool) : impl_(std::make_unique<Impl>()) {
  impl_->pool = pool.impl_;
  impl_->k.resize(static_cast<size_t>(pool.impl_->L));
  impl_->v.resize(static_cast<size_t>(pool.impl_->L));
}
SequenceState::~SequenceState() = default;
SequenceState::SequenceState(SequenceState&&) noexcept = default;
SequenceState& SequenceState::operator=(SequenceState&&) noexcept = default;

int64_t SequenceState::length() const { return impl_->length; }

Status SequenceState::reserve(int64_t new_tokens) {
  Impl& s = *impl_;
  const auto full = [&] {
    return with_hint(make_error(ErrorCode::kResource,
                                "no room for {} more tokens: the state pool of {} tokens is full",
                                new_tokens, s.pool->total_pages * kTokens),
                     "Use a shorter context or fewer sequences at once");
  };
  const int64_t shared = s.length / kTokens;  // the page that the next token goes to
  if (new_tokens > 0 && shared < static_cast<int64_t>(s.pages.size()) &&
      s.pages[shared].use_count() > 1) {
    Page copy = take_page(s.pool);
    if (!copy) return full();
    std::memcpy(copy.get(), s.pages[shared].get(), static_cast<size_t>(s.pool->page_bytes()));
    s.pages[shared] = std::move(copy);
    s.point(shared);
  }
  const int64_t wanted = ceil_div(s.length + new_tokens, kTokens);
  while (static_cast<int64_t>(s.pages.size()) < wanted) {
    Page page = take_page(s.pool);
    if (!page) return full();
    s.pages.push_back(std::move(page));
    s.point(static_cast<int64_t>(s.pages.size()) - 1);
  }
  return ok();
}

void SequenceState::append(int64_t layer, int64_t position, const float* k, const float* v,
                           int64_t T) {
  const Impl& s = *impl_;
  SLLM_CHECK(position >= s.length && position + T <= static_cast<int64_t>(s.pages.size()) * kTokens,
             "state: rows {}..{} were not reserved behind {}", position, position + T, s.length);
  const int64_t Hk = s.pool->Hk, Dh = s.pool->Dh, head_bytes = bytes_of(s.pool->kv, Dh);
  for (int64_t t = 0; t < T; ++t) {
    const int64_t page = (position + t) / kTokens, row = (position + t) % kTokens;
    char* const k_block = s.block(layer, page, false);
    char* const v_block = s.block(layer, page, true);
    for (int64_t h = 0; h < Hk; ++h) {
      const int64_t offset = (h * kTokens + row) * head_bytes;
      store(s.pool->kv, k_block + offset, k + (t * Hk + h) * Dh, Dh);
      store(s.pool->kv, v_block + offset, v + (t * Hk + h) * Dh, Dh);
    }
  }
}

void SequenceState::advance(int64_t T) { impl_->length += T; }

KvView SequenceState::view(int64_t layer) const {
  return {impl_->k[static_cast<size_t>(layer)].data(), impl_->v[static_cast<size_t>(layer)].data(),
          impl_->pool->kv};
}

SequenceState SequenceState::fork() const { return SequenceState(std::make_unique<Impl>(*impl_)); }

void SequenceState::truncate(int64_t length) {
  Impl& s = *impl_;
  SLLM_CHECK(0 <= length && length <= s.length, "state: cannot truncate {} tokens to {}", s.length,
             length);
  s.length = length;
  s.pages.resize(static_cast<size_t>(ceil_div(length, kTokens)));
  for (auto* tables : {&s.k, &s.v})
    for (auto& table : *tables) table.resize(s.pages.size());
}

}  // namespace sllm
