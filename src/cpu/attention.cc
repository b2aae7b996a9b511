// Attention: tasks of one segment, one KV head and a few queries; chunks of 64 keys in order. Which
// thread takes a task does not matter to its result. Formulas: ops/attention.cc.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/checked.h"
#include "cpu/cpu_backend_impl.h"
#include "cpu/scratch.h"

namespace sllm {
namespace {

constexpr int64_t kChunk = KvView::kBlockTokens;
constexpr int64_t kTaskRows = 64;  // query rows (tokens x heads of a group) that share a chunk

struct Task {
  const AttentionSegment* segment;
  int64_t head;         // KV head
  int64_t begin, rows;  // queries of the segment
};

std::vector<Task> split(std::span<const AttentionSegment> segments, const AttentionShape& shape) {
  const int64_t tokens = std::max<int64_t>(1, kTaskRows / (shape.H / shape.Hk));
  std::vector<Task> tasks;
  for (const AttentionSegment& segment : segments)
    for (int64_t begin = (segment.rows - 1) / tokens * tokens; begin >= 0; begin -= tokens)
      for (int64_t head = 0; head < shape.Hk; ++head)  // the longest first
        tasks.push_back({&segment, head, begin, std::min(tokens, segment.rows - begin)});
  return tasks;
}

// The keys of one head in chunk c, as f32 rows `ld` apart.
struct Keys {
  const float *k, *v;
  int64_t ld;
};

// Training: keys [begin, begin + count) of a segment, of one head. They lie side by side unless a
// border between segments cuts them.
struct KeyRange {
  KeyRange(std::span<const AttentionSegment> all, const AttentionSegment& of, int64_t begin_,
           int64_t count_)
      : segments(all), segment(of), begin(begin_), count(count_), row(key_row(all, of, begin_)) {
    together = key_row(all, of, begin + count - 1) == row + count - 1;
  }
  int64_t row_of(int64_t i) const { return key_row(segments, segment, begin + i); }
  void gather(float* to, const float* from, int64_t ld, int64_t width) const {
    for (int64_t i = 0; i < count; ++i) std::copy_n(from + row_of(i) * ld, width, to + i * width);
  }
  std::span<const AttentionSegment> segments;
  const AttentionSegment& segment;
  int64_t begin, count, row;
  bool together;
};

// Segments that share keys, in order: the indices of each tree of them.
std::vector<std::vector<size_t>> trees(std::span<const AttentionSegment> segments) {
  std::vector<std::vector<size_t>> all;
  std::vector<size_t> tree_of(segments.size());
  for (size_t i = 0; i < segments.size(); ++i) {
    const bool root = segments[i].before < 0;
    tree_of[i] = root ? all.size() : tree_of[static_cast<size_t>(segments[i].before)];
    if (root) all.emplace_back();
    all[tree_of[i]].push_back(i);
  }
  return all;
}

}  // namespace

// One task; keys(c) yields chunk c of `total` keys. Writes lse [N, H] when given.
template <class Task, class KeysOf>
void CpuBackend::attend(float* out, float* lse, const float* q, const Task& task, int64_t position,
                        int64_t total_keys, const AttentionShape& shape, KeysOf keys) {
  const int64_t Dh = shape.Dh, group = shape.H / shape.Hk, rows = task.rows * group;
  float* tile = thread_scratch<float, 2>(rows * (2 * Dh + kChunk + 2));
  float *queries = tile, *sums = tile + rows * Dh, *scores = sums + rows * Dh,
        *largest = scores + rows * kChunk, *total = largest + rows;
  int32_t* first = thread_scratch<int32_t, 3>(2 * rows);
  int32_t* last = first + rows;
  const auto place = [&](int64_t r) {  // of row r = token * group + head within the group
    return (task.segment->first_row + task.begin + r / group) * shape.H + task.head * group +
           r % group;
  };
  for (int64_t r = 0; r < rows; ++r) std::copy_n(q + place(r) * Dh, Dh, queries + r * Dh);
  std::fill_n(sums, rows * Dh, 0.0f);
  std::fill_n(largest, rows, -std::numeric_limits<float>::infinity());
  std::fill_n(total, rows, 0.0f);

  const int64_t start = position + task.begin;  // of the queries
  const int64_t end = shape.end_visible(start + task.rows - 1, total_keys);
  for (int64_t c = shape.first_visible(start) / kChunk; c * kChunk < end; ++c) {
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t at = start + r / group;
      first[r] = static_cast<int32_t>(
          std::clamp<int64_t>(shape.first_visible(at) - c * kChunk, 0, kChunk));
      last[r] = static_cast<int32_t>(
          std::clamp<int64_t>(shape.end_visible(at, total_keys) - c * kChunk, 0, kChunk));
    }
    const Keys chunk = keys(c);
    kernels_.attend_chunk(sums, largest, total, queries, rows, chunk.k, chunk.v, chunk.ld,
                          std::min(kChunk, end - c * kChunk), first, last, Dh, shape.scale,
                          shape.softcap, scores);
  }
  for (int64_t r = 0; r < rows; ++r) {
    kernels_.scale(sums + r * Dh, 1.0f / total[r], Dh);
    std::copy_n(sums + r * Dh, Dh, out + place(r) * Dh);
    if (lse) lse[place(r)] = largest[r] + std::log(total[r]);
  }
}

void CpuBackend::attention(float* out, const float* q, std::span<const AttentionSegment> segments,
                           AttentionShape shape) {
  const std::vector<Task> tasks = split(segments, shape);
  const int64_t size = kChunk * shape.Dh;
  for_each_task(std::ssize(tasks), [&](int64_t i) {
    const Task& task = tasks[static_cast<size_t>(i)];
    const KvView& kv = task.segment->kv;
    const int64_t offset = task.head * bytes_of(kv.dtype, size);
    const int64_t total_keys = task.segment->position + task.segment->rows;
    const int64_t end =
        shape.end_visible(task.segment->position + task.begin + task.rows - 1, total_keys);
    const auto keys = [&](int64_t c) -> Keys {
      const auto* k = static_cast<const char*>(kv.k[c]) + offset;
      const auto* v = static_cast<const char*>(kv.v[c]) + offset;
      if (kv.dtype == DType::kF32)
        return {reinterpret_cast<const float*>(k), reinterpret_cast<const float*>(v), shape.Dh};
      const int64_t present = std::min(kChunk, end - c * kChunk) * shape.Dh;
      float* wide = thread_scratch<float, 4>(2 * size);
      kernels_.decode[static_cast<int>(kv.dtype)](k, wide, present);
      kernels_.decode[static_cast<int>(kv.dtype)](v, wide + size, present);
      return {wide, wide + size, shape.Dh};
    };
    attend(out, nullptr, q, task, task.segment->position, total_keys, shape, keys);
  });
}

void CpuBackend::attention_train(float* out, float* lse, const float* q, const float* k,
                                 const float* v, std::span<const AttentionSegment> segments,
                                 AttentionShape shape) {
  const std::vector<Task> tasks = split(segments, shape);
  const int64_t stride = shape.Hk * shape.Dh;
  for_each_task(std::ssize(tasks), [&](int64_t i) {
    const Task& task = tasks[static_cast<size_t>(i)];
    const AttentionSegment& segment = *task.segment;
    const int64_t total = segment.position + segment.rows, head = task.head * shape.Dh;
    const auto keys = [&](int64_t c) -> Keys {
      const KeyRange range(segments, segment, c * kChunk, std::min(kChunk, total - c * kChunk));
      if (range.together)
        return {k + range.row * stride + head, v + range.row * stride + head, stride};
      float* copy = thread_scratch<float, 4>(2 * kChunk * shape.Dh);
      range.gather(copy, k + head, stride, shape.Dh);
      range.gather(copy + kChunk * shape.Dh, v + head, stride, shape.Dh);
      return {copy, copy + kChunk * shape.Dh, shape.Dh};
    };
    attend(out, lse, q, task, segment.position, total, shape, keys);
  });
}

// One KV head of a tree of segments: dk and dv are sums over its queries and the group's heads, so
// they are one task; 64 x 64 blocks of what is visible, queries outermost.
void CpuBackend::attention_backward(float* dq, float* dk, float* dv, const float* dout,
                                    const float* q, const float* k, const float* v,
                                    const float* out, const float* lse,
                                    std::span<const AttentionSegment> segments,
                                    AttentionShape shape) {
  const int64_t Dh = shape.Dh, ldk = shape.Hk * Dh;
  const auto all = trees(segments);
  for_each_task(std::ssize(all) * shape.Hk, [&](int64_t task) {
    const int64_t head = task % shape.Hk;
    for (const size_t i : all[static_cast<size_t>(task / shape.Hk)]) {
      const AttentionSegment& segment = segments[i];
      for (int64_t j = segment.first_row; j < segment.first_row + segment.rows; ++j) {
        std::fill_n(dk + j * ldk + head * Dh, Dh, 0.0f);
        std::fill_n(dv + j * ldk + head * Dh, Dh, 0.0f);
      }
      attend_backward(dq, dk + head * Dh, dv + head * Dh, dout, q, k + head * Dh, v + head * Dh,
                      out, lse, segments, segment, head, shape);
    }
  });
}

// The queries of one segment; k, v, dk and dv begin at the head.
void CpuBackend::attend_backward(float* dq, float* dk, float* dv, const float* dout, const float* q,
                                 const float* k, const float* v, const float* out, const float* lse,
                                 std::span<const AttentionSegment> segments,
                                 const AttentionSegment& segment, int64_t head,
                                 const AttentionShape& shape) {
  const int64_t Dh = shape.Dh, group = shape.H / shape.Hk, ldq = shape.H * Dh, ldk = shape.Hk * Dh;
  const int64_t rows = segment.rows, total = segment.position + rows;
  float* s = thread_scratch<float, 2>(2 * kChunk * kChunk + 2 * kChunk);
  float *dp = s + kChunk * kChunk, *D = dp + kChunk * kChunk, *row_lse = D + kChunk;
  int32_t first[kChunk], last[kChunk];
  for (int64_t h = head * group; h < (head + 1) * group; ++h)
    for (int64_t i0 = 0; i0 < rows; i0 += kChunk) {
      const int64_t size = std::min(kChunk, rows - i0), position = segment.position + i0;
      const int64_t at = (segment.first_row + i0) * ldq + h * Dh;
      for (int64_t i = 0; i < size; ++i) {
        kernels_.gemm_nt(D + i, 1, dout + at + i * ldq, ldq, out + at + i * ldq, ldq, 1, 1, Dh,
                         false);
        row_lse[i] = lse[(segment.first_row + i0 + i) * shape.H + h];
        std::fill_n(dq + at + i * ldq, Dh, 0.0f);
      }
      const int64_t end = shape.end_visible(position + size - 1, total);
      for (int64_t j0 = shape.first_visible(position) / kChunk * kChunk; j0 < end; j0 += kChunk) {
        const KeyRange range(segments, segment, j0, std::min(kChunk, total - j0));
        const int64_t keys = range.count;
        for (int64_t i = 0; i < size; ++i) {
          first[i] = static_cast<int32_t>(
              std::clamp<int64_t>(shape.first_visible(position + i) - j0, 0, kChunk));
          last[i] = static_cast<int32_t>(
              std::clamp<int64_t>(shape.end_visible(position + i, total) - j0, 0, kChunk));
        }
        const float *key = k + range.row * ldk, *value = v + range.row * ldk;
        float *dkey = dk + range.row * ldk, *dvalue = dv + range.row * ldk;
        int64_t ld = ldk;
        if (!range.together) {  // worked on in a copy
          float* copy = thread_scratch<float, 4>(4 * kChunk * Dh);
          range.gather(copy, k, ldk, Dh);
          range.gather(copy + kChunk * Dh, v, ldk, Dh);
          key = copy, value = copy + kChunk * Dh, dkey = copy + 2 * kChunk * Dh,
          dvalue = copy + 3 * kChunk * Dh, ld = Dh;
          std::fill_n(dkey, 2 * kChunk * Dh, 0.0f);
        }
        kernels_.gemm_nt(s, kChunk, q + at, ldq, key, ld, size, keys, Dh, false);
        kernels_.gemm_nt(dp, kChunk, dout + at, ldq, value, ld, size, keys, Dh, false);
        kernels_.attention_gradient(s, dp, size, first, last, row_lse, D, shape.scale,
                                    shape.softcap);
        kernels_.gemm_nn(dvalue, ld, s, 1, kChunk, dout + at, ldq, keys, Dh, size, true);
        kernels_.gemm_nn(dkey, ld, dp, 1, kChunk, q + at, ldq, keys, Dh, size, true);
        kernels_.gemm_nn(dq + at, ldq, dp, kChunk, 1, key, ld, size, Dh, keys, true);
        if (range.together) continue;
        for (int64_t j = 0; j < keys; ++j) {
          kernels_.axpy(dk + range.row_of(j) * ldk, 1, dkey + j * Dh, Dh);
          kernels_.axpy(dv + range.row_of(j) * ldk, 1, dvalue + j * Dh, Dh);
        }
      }
    }
}

}  // namespace sllm
