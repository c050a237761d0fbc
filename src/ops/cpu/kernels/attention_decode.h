/// Attention against a cache: each key and value is read where it lies, once for all heads and rows
/// of the item, and there is nothing to pack. All is done in f32 and the rows of the cache are
/// walked in order, all heads of a row together.
///
/// Keys are taken in blocks that start at multiples of kKeyBlock, so what is computed for a row
/// depends on its position and on the keys alone: not on which rows stand beside it, nor on how a
/// prompt was cut into chunks. A cache shorter than the sequence (a window's) is a ring; blocks
/// never straddle its end.
#pragma once

#include "ops/cpu/attention_kernels.h"
#include "ops/cpu/kernels/attention_tiles.h"

namespace nanochat::cpu::NC_ISA {

static_assert(kKeyBlock % kLanes == 0);
// The block after next is asked for meanwhile, a line at a time between the sums: asking for all of
// it at once fills the queue of misses, and the sums wait.
inline constexpr int64_t kDecodeAhead = 2 * kKeyBlock;
inline constexpr int64_t kLine = 64;

struct DecodeScratch {
  float* queries;  // [pairs of row and head, stride], scaled
  float* scores;   // [pairs, n_keys]
  float* sum_out;  // [pairs, stride]
  float* row_sum;  // [pairs]
  float* block;    // [kKeyBlock, stride]: keys or values of one head, widened
  int64_t stride;
  int64_t score_stride;
  int64_t size_bytes;

  DecodeScratch(void* base, int64_t head_dim, int64_t n_pairs, int64_t n_keys) {
    Carver carver{static_cast<char*>(base)};
    stride = round_up(head_dim, kLanes);
    score_stride = round_up(n_keys, kKeyBlock) + kKeyBlock;
    queries = carver.take<float>(n_pairs * stride);
    scores = carver.take<float>(n_pairs * score_stride);
    sum_out = carver.take<float>(n_pairs * stride);
    row_sum = carver.take<float>(n_pairs);
    block = carver.take<float>(kKeyBlock * stride);
    size_bytes = carver.used;
  }
};

/// scores[j] = q . k_j for kLanes keys, of which the first n_keys exist; the others' scores are
/// anything. Each key has its own vector of partial sums; a transpose turns the sums over lanes
/// into sums of vectors.
/// `ahead`: where the same rows lie that are wanted later; null: they are asked for already.
template <bool kAllExist, typename KeyAct>
NC_INLINE F32 scores_of_keys(const float* q, const KeyAct* k, int64_t k_stride, int64_t n_keys,
                             int64_t D, const KeyAct* ahead) {
  constexpr int64_t kPerLine = kLine / static_cast<int64_t>(sizeof(KeyAct));
  constexpr int kAsk = static_cast<int>((kLanes * kLanes + kPerLine - 1) / kPerLine);
  F32 sums[kLanes];
  const KeyAct* rows[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    sums[i] = zero();
    rows[i] = k + (kAllExist ? i : smaller(i, n_keys - 1)) * k_stride;
  }
  for_vectors(D, [&](int64_t d, auto part) {
    const F32 qd = load(q + d);
    if (kAllExist && ahead != nullptr) {  // kAsk of the lines of kLanes rows, row by row
#pragma GCC unroll 16
      for (int i = 0; i < kAsk; ++i) {
        const int64_t line = d / kLanes * kAsk + i;
        __builtin_prefetch(ahead + line % kLanes * k_stride + line / kLanes * kPerLine);
      }
    }
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) sums[i] = fma(qd, load_at(rows[i] + d, part), sums[i]);
  });
  transpose(sums);
#pragma GCC unroll 4
  for (int width = kLanes / 2; width > 0; width /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < width; ++i) sums[i] = sums[i] + sums[i + width];
  }
  return sums[0];
}

/// out[d] += sum_j p[j] v_j[d]. `ahead` as for the scores.
template <typename KeyAct, int kVectors>
NC_INLINE void add_values(const float* p, const KeyAct* v, int64_t v_stride, int64_t n_keys,
                          float* out, const KeyAct* ahead) {
  constexpr int64_t kPerLine = kLine / static_cast<int64_t>(sizeof(KeyAct));
  F32 sums[kVectors];
#pragma GCC unroll 8
  for (int i = 0; i < kVectors; ++i) sums[i] = load(out + i * kLanes);
  for (int64_t j = 0; j < n_keys; ++j) {
    const F32 pj = set1(p[j]);
    if (ahead != nullptr) {
#pragma GCC unroll 8
      for (int64_t d = 0; d < kVectors * kLanes; d += kPerLine) {
        __builtin_prefetch(ahead + j * v_stride + d);
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < kVectors; ++i) {
      sums[i] = fma(pj, load(v + j * v_stride + i * kLanes), sums[i]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kVectors; ++i) store(out + i * kLanes, sums[i]);
}

/// Rows of one head as floats, when that pays: `readers` queries will pass over them.
template <typename KeyAct>
struct HeadBlock {
  const KeyAct* rows;
  const float* widened = nullptr;
  int64_t stride;
  int64_t widened_stride;

  NC_INLINE HeadBlock(const KeyAct* x, int64_t x_stride, int64_t n, int64_t D, int64_t readers,
                      const KeyAct* ahead, float* scratch, int64_t scratch_stride)
      : rows(x), stride(x_stride), widened_stride(scratch_stride) {
    if constexpr (sizeof(KeyAct) != sizeof(float)) {
      if (readers <= 2) return;
      for (int64_t i = 0; i < n; ++i) {
        if (ahead != nullptr) prefetch_row(ahead + i * x_stride, D);
        for_vectors(D, [&](int64_t d, auto part) {
          store(scratch + i * scratch_stride + d, load_at(x + i * x_stride + d, part));
        });
      }
      widened = scratch;
    }
  }
  /// f(first row, stride, ahead) with the rows in either type.
  template <typename F>
  NC_INLINE void with(const KeyAct* ahead, F&& f) const {
    if constexpr (sizeof(KeyAct) != sizeof(float)) {
      if (widened != nullptr) return f(widened, widened_stride, static_cast<const float*>(nullptr));
    }
    f(rows, stride, ahead);
  }
};

/// Adds the values of up to kKeyBlock keys to one head's sums.
template <typename KeyAct>
NC_INLINE void add_block(const float* p, const KeyAct* v, int64_t v_stride, int64_t n, int64_t D,
                         float* out, const KeyAct* ahead) {
  const auto later = [&](int64_t d) { return ahead != nullptr ? ahead + d : nullptr; };
  int64_t d = 0;
  for (; d + 8 * kLanes <= D; d += 8 * kLanes) {
    add_values<KeyAct, 8>(p, v + d, v_stride, n, out + d, later(d));
  }
  for (; d + 4 * kLanes <= D; d += 4 * kLanes) {
    add_values<KeyAct, 4>(p, v + d, v_stride, n, out + d, later(d));
  }
  for (; d + kLanes <= D; d += kLanes) {
    add_values<KeyAct, 1>(p, v + d, v_stride, n, out + d, nullptr);
  }
  if (d == D) return;
  const Partial part{static_cast<int>(D - d)};
  F32 tail = load(out + d);
  for (int64_t j = 0; j < n; ++j) tail = fma(set1(p[j]), load_at(v + j * v_stride + d, part), tail);
  store(out + d, tail);
}

template <typename Act, typename KeyAct>
void decode_item(const AttentionForwardItem& item) {
  const int64_t D = item.head_dim;
  const int64_t group = item.group;
  const int64_t n_head = item.n_kv_head * group;
  const int64_t n_rows = item.query_end - item.query_begin;
  const int64_t first = item.first_position + item.query_begin;
  const auto block_begin = [&](int64_t row) {
    return round_down(visible_keys(first + row, item.window).begin, kKeyBlock);
  };
  const int64_t begin = block_begin(0), end = first + n_rows;
  const DecodeScratch s(item.scratch, D, n_rows * n_head, end - begin);
  const auto cached = [&](const void* x, int64_t key) {
    return static_cast<const KeyAct*>(x) + key % item.capacity * item.kv_stride;
  };
  // The block after next of one head, where there is a whole one.
  const auto block_ahead = [&](const void* x, int64_t key, int64_t kv_head) -> const KeyAct* {
    const int64_t later = key + kDecodeAhead;
    return later + kKeyBlock <= end ? cached(x, later) + kv_head * D : nullptr;
  };

  for (int64_t row = 0; row < n_rows; ++row) {
    const Act* const q = static_cast<const Act*>(item.q) + (item.query_begin + row) * item.q_stride;
    for (int64_t head = 0; head < n_head; ++head) {
      for_vectors(D, [&](int64_t d, auto part) {
        store(s.queries + (row * n_head + head) * s.stride + d,
              load_at(q + head * D + d, part) * set1(item.scale));
      });
    }
  }
  for (int64_t j = begin; j < end; j += kKeyBlock) {
    const KeyAct* const keys = cached(item.k, j);
    const int64_t n_keys = smaller(kKeyBlock, end - j);
    for (int64_t kv_head = 0; kv_head < item.n_kv_head; ++kv_head) {
      const KeyAct* later = block_ahead(item.k, j, kv_head);
      const HeadBlock<KeyAct> block(keys + kv_head * D, item.kv_stride, n_keys, D, n_rows * group,
                                    later, s.block, s.stride);
      for (int64_t row = 0; row < n_rows; ++row) {
        if (j < block_begin(row) || j > first + row) continue;
        for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
          const int64_t pair = row * n_head + head;
          const float* const q = s.queries + pair * s.stride;
          float* const to = s.scores + pair * s.score_stride + j - begin;
          block.with(later, [&](const auto* k, int64_t stride, const auto* ahead) {
            for (int64_t i = 0; i < n_keys; i += kLanes) {
              const auto* const from = k + i * stride;
              if (i + kLanes <= n_keys) {
                const auto* const ask = ahead != nullptr ? ahead + i * stride : nullptr;
                store(to + i, scores_of_keys<true>(q, from, stride, kLanes, D, ask));
              } else {
                store(to + i, scores_of_keys<false>(q, from, stride, n_keys - i, D, ahead));
              }
            }
          });
          later = nullptr;  // once is enough
        }
      }
    }
  }

  for (int64_t row = 0; row < n_rows; ++row) {
    const Span seen = visible_keys(first + row, item.window);
    const Span inner = {seen.begin - begin, seen.end - begin};
    const Span outer = {block_begin(row) - begin, round_up(inner.end, kLanes)};
    for (int64_t head = 0; head < n_head; ++head) {
      const int64_t pair = row * n_head + head;
      float* const scores = s.scores + pair * s.score_stride;
      mask_columns(scores, outer, inner);
      F32 max_score = set1(-__builtin_inff());
      for (int64_t j = outer.begin; j < outer.end; j += kLanes) {
        max_score = max(max_score, load(scores + j));
      }
      const F32 row_max = set1(reduce_max(max_score));
      F32 sum = zero();
      for (int64_t j = outer.begin; j < outer.end; j += kLanes) {
        const F32 p = exp(load(scores + j) - row_max);
        sum = sum + p;
        store(scores + j, p);
      }
      s.row_sum[pair] = reduce_add(sum);
    }
  }

  memset(s.sum_out, 0, static_cast<size_t>(n_rows * n_head * s.stride) * sizeof(float));
  for (int64_t j = begin; j < end; j += kKeyBlock) {
    const KeyAct* const values = cached(item.v, j);
    for (int64_t kv_head = 0; kv_head < item.n_kv_head; ++kv_head) {
      const KeyAct* later = block_ahead(item.v, j, kv_head);
      const HeadBlock<KeyAct> block(values + kv_head * D, item.kv_stride,
                                    smaller(kKeyBlock, end - j), D, n_rows * group, later, s.block,
                                    s.stride);
      for (int64_t row = 0; row < n_rows; ++row) {
        if (j < block_begin(row) || j > first + row) continue;
        const int64_t n = smaller(kKeyBlock, first + row + 1 - j);
        for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
          const int64_t pair = row * n_head + head;
          block.with(later, [&](const auto* v, int64_t stride, const auto* ahead) {
            add_block(s.scores + pair * s.score_stride + j - begin, v, stride, n, D,
                      s.sum_out + pair * s.stride, ahead);
          });
          later = nullptr;
        }
      }
    }
  }
  for (int64_t row = 0; row < n_rows; ++row) {
    Act* const out = static_cast<Act*>(item.out) + (item.query_begin + row) * item.out_stride;
    for (int64_t head = 0; head < n_head; ++head) {
      const int64_t pair = row * n_head + head;
      const F32 inverse = set1(1.0F / s.row_sum[pair]);
      for_vectors(D, [&](int64_t d, auto part) {
        store_at(out + head * D + d, load(s.sum_out + pair * s.stride + d) * inverse, part);
      });
    }
  }
}

}  // namespace nanochat::cpu::NC_ISA
