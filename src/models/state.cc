// Paged keys and values, and fixed states. A page is one allocation: for each layer that attends
// the block of K, then of V, each [Hk][kBlockTokens][Dh], which is what the attention kernels read
// through KvView. A fixed state is one allocation too: the recurrent layers' numbers one behind the
// other. It is never written once advance() has made it the present one, so that forks and
// snapshots just hold it.
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
    case DType::kF16:
      for (int64_t i = 0; i < n; ++i) static_cast<f16*>(to)[i] = to_f16(from[i]);
      break;
    default:
      info(type).encode(from, to, n);
  }
}
}  // namespace

// Pieces of one size. Memory that is given back stays here, for it is warm.
struct Pieces {
  int64_t bytes = 0, used = 0;
  std::vector<void*> spare;

  Pieces() = default;
  Pieces(const Pieces&) = delete;
  Pieces& operator=(const Pieces&) = delete;
  ~Pieces() {
    for (void* p : spare) std::free(p);
  }
  void* take() {  // null: the machine has no memory left
    void* memory = nullptr;
    if (!spare.empty()) {
      memory = spare.back();
      spare.pop_back();
    } else {
      memory = std::aligned_alloc(64, static_cast<size_t>(round_up(bytes, 64)));
    }
    if (!memory) return nullptr;
    ++used;
    if (std::ssize(spare) + used > static_cast<int64_t>(spare.capacity()))
      spare.reserve(2 * (spare.size() + static_cast<size_t>(used)));  // giving back never allocates
    return memory;
  }
  void give_back(void* memory) {
    spare.push_back(memory);
    --used;
  }
};

struct StatePool::Impl {
  struct Layer {
    int64_t Hk = 0, Dh = 0;        // 0: it keeps no keys and values
    int64_t offset = 0;            // of its keys in a page [bytes]; its values follow
    int64_t fixed = 0, first = 0;  // how many numbers of the fixed state are its, and from where
  };
  DType kv;
  std::vector<Layer> layers;
  int64_t total_pages;
  Pieces pages, fixed;

  int64_t block_bytes(const Layer& l) const { return bytes_of(kv, l.Hk * kTokens * l.Dh); }
};

using Page = std::shared_ptr<char>;

namespace {
Page take_page(const std::shared_ptr<StatePool::Impl>& pool) {
  if (pool->pages.used >= pool->total_pages) return nullptr;
  void* const memory = pool->pages.take();
  if (!memory) return nullptr;
  return {static_cast<char*>(memory), [pool](char* p) { pool->pages.give_back(p); }};
}
std::shared_ptr<float> take_fixed(const std::shared_ptr<StatePool::Impl>& pool) {
  void* const memory = pool->fixed.take();
  if (!memory) return nullptr;
  return {static_cast<float*>(memory), [pool](float* p) { pool->fixed.give_back(p); }};
}
}  // namespace

StatePool::StatePool(const ModelConfig& config, DType kv, int64_t max_tokens)
    : impl_(std::make_shared<Impl>()) {
  SLLM_CHECK(can_hold(config, kv), "state: keys and values of this model are not stored as {}",
             info(kv).name);
  impl_->kv = kv;
  impl_->total_pages = ceil_div(max_tokens, kTokens);
  int64_t numbers = 0;  // of the fixed state
  for (int64_t i = 0; i < config.L; ++i) {
    Impl::Layer layer;
    if (config.has_kv(i)) layer.Hk = config.kv_heads(i), layer.Dh = config.head_width(i);
    layer.offset = impl_->pages.bytes;
    layer.fixed = config.state_size(i), layer.first = numbers;
    impl_->pages.bytes += 2 * impl_->block_bytes(layer);
    numbers += layer.fixed;
    impl_->layers.push_back(layer);
  }
  impl_->fixed.bytes = bytes_per_sequence(config);
}
StatePool::~StatePool() = default;
bool StatePool::can_hold(const ModelConfig& config, DType kv) {
  if (kv == DType::kF32 || kv == DType::kF16 || kv == DType::kBF16) return true;
  if (kv != DType::kQ8_0) return false;
  for (int64_t i = 0; i < config.L; ++i)
    if (config.has_kv(i) && config.head_width(i) % info(kv).block_elements != 0) return false;
  return true;
}
int64_t StatePool::free_tokens() const {
  return (impl_->total_pages - impl_->pages.used) * kTokens;
}
int64_t StatePool::bytes() const { return impl_->total_pages * impl_->pages.bytes; }
int64_t StatePool::pages_of_fixed() const {
  return ceil_div(2 * impl_->fixed.bytes, impl_->pages.bytes);
}
int64_t StatePool::bytes_per_token(const ModelConfig& config, DType kv) {
  int64_t bytes = 0;
  for (int64_t i = 0; i < config.L; ++i)
    if (config.has_kv(i)) bytes += 2 * bytes_of(kv, config.kv_heads(i) * config.head_width(i));
  return bytes;
}
int64_t StatePool::bytes_per_sequence(const ModelConfig& config) {
  int64_t numbers = 0;
  for (int64_t i = 0; i < config.L; ++i) numbers += config.state_size(i);
  return bytes_of(DType::kF32, numbers);
}

struct SequenceState::Impl {
  std::shared_ptr<StatePool::Impl> pool;
  std::vector<Page> pages;
  std::vector<std::vector<const void*>> k, v;  // [layer][block]: what KvView points at
  int64_t length = 0;
  std::shared_ptr<float> fixed, next;  // at `length`, null: zeros; and what a forward is making

  const StatePool::Impl::Layer& at(int64_t layer) const {
    return pool->layers[static_cast<size_t>(layer)];
  }
  char* block(int64_t layer, int64_t page, bool value) const {
    const StatePool::Impl::Layer& l = at(layer);
    return pages[static_cast<size_t>(page)].get() + l.offset + value * pool->block_bytes(l);
  }
  void shorten(int64_t to);
  void point(int64_t page) {
    for (int64_t layer = 0; layer < std::ssize(pool->layers); ++layer) {
      k[layer].resize(pages.size()), v[layer].resize(pages.size());
      k[layer][page] = block(layer, page, false), v[layer][page] = block(layer, page, true);
    }
  }
};

SequenceState::SequenceState(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SequenceState::SequenceState(StatePool& pool) : impl_(std::make_unique<Impl>()) {
  impl_->pool = pool.impl_;
  impl_->k.resize(pool.impl_->layers.size());
  impl_->v.resize(pool.impl_->layers.size());
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
    std::memcpy(copy.get(), s.pages[shared].get(), static_cast<size_t>(s.pool->pages.bytes));
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
  if (s.pool->fixed.bytes > 0 && !s.next && !(s.next = take_fixed(s.pool)))
    return make_error(ErrorCode::kResource, "no memory for the state of a sequence ({} bytes)",
                      s.pool->fixed.bytes);
  return ok();
}

void SequenceState::append(int64_t layer, int64_t position, const float* k, const float* v,
                           int64_t T) {
  const Impl& s = *impl_;
  SLLM_CHECK(position >= s.length && position + T <= static_cast<int64_t>(s.pages.size()) * kTokens,
             "state: rows {}..{} were not reserved behind {}", position, position + T, s.length);
  const int64_t Hk = s.at(layer).Hk, Dh = s.at(layer).Dh, head_bytes = bytes_of(s.pool->kv, Dh);
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

float* SequenceState::begin(int64_t layer) {
  const Impl& s = *impl_;
  const StatePool::Impl::Layer& l = s.at(layer);
  SLLM_CHECK(l.fixed > 0 && s.next, "state: layer {} has no fixed state, or none was reserved",
             layer);
  float* const to = s.next.get() + l.first;
  if (s.fixed)
    std::copy_n(s.fixed.get() + l.first, l.fixed, to);
  else
    std::fill_n(to, l.fixed, 0.0f);
  return to;
}

void SequenceState::advance(int64_t T) {
  Impl& s = *impl_;
  s.length += T;
  if (!s.next) return;
  std::swap(s.fixed, s.next);
  if (s.next.use_count() > 1) s.next = nullptr;  // a fork or a snapshot still reads it
}

KvView SequenceState::view(int64_t layer) const {
  return {impl_->k[static_cast<size_t>(layer)].data(), impl_->v[static_cast<size_t>(layer)].data(),
          impl_->pool->kv};
}

SequenceState SequenceState::fork() const {
  auto copy = std::make_unique<Impl>(*impl_);
  copy->next = nullptr;
  return SequenceState(std::move(copy));
}

SequenceState::Snapshot SequenceState::snapshot() const {
  Snapshot at;
  at.length_ = impl_->length;
  at.fixed_ = impl_->fixed;
  return at;
}

void SequenceState::restore(const Snapshot& at) {
  SLLM_CHECK(at.length_ <= impl_->length, "state: {} tokens hold no snapshot of {}", impl_->length,
             at.length_);
  impl_->shorten(at.length_);
  impl_->fixed = at.fixed_;
}

void SequenceState::truncate(int64_t length) {
  Impl& s = *impl_;
  SLLM_CHECK(0 <= length && length <= s.length, "state: cannot truncate {} tokens to {}", s.length,
             length);
  SLLM_CHECK(s.pool->fixed.bytes == 0 || length == 0 || length == s.length,
             "state: recurrent layers cannot go back from {} tokens to {} without a snapshot",
             s.length, length);
  s.shorten(length);
  if (length == 0) s.fixed = nullptr;
}

void SequenceState::Impl::shorten(int64_t to) {
  length = to;
  pages.resize(static_cast<size_t>(ceil_div(to, kTokens)));
  for (auto* tables : {&k, &v})
    for (auto& table : *tables) table.resize(pages.size());
}

}  // namespace sllm
