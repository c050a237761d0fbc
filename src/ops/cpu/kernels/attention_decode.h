/// Attention of few queries against many keys: each key and value is read where it lies, once for
/// all heads of the item, and there is nothing to pack. Memory sets the pace, so all is done in f32
/// and the rows of the cache are walked in order, all heads of a row together.
#pragma once

#include "ops/cpu/attention_kernels.h"
#include "ops/cpu/kernels/attention_tiles.h"

namespace nanochat::cpu::NC_ISA {

// Keys and values are read in blocks of rows that stay in L1 or L2 while every head passes over
// them, and the block after next is asked for meanwhile.
inline constexpr int64_t kDecodeValues = 16;
inline constexpr int64_t kDecodeAhead = 32;

struct DecodeScratch {
  float* queries;  // [n_head, stride], scaled
  float* scores;   // [n_head, n_keys]
  float* sum_out;  // [n_head, stride]
  float* row_sum;  // [n_head]
  int64_t stride;
  int64_t score_stride;
  int64_t size_bytes;

  DecodeScratch(void* base, int64_t head_dim, int64_t n_head, int64_t n_keys) {
    Carver carver{static_cast<char*>(base)};
    stride = round_up(head_dim, kLanes);
    score_stride = round_up(n_keys, kLanes);
    queries = carver.take<float>(n_head * stride);
    scores = carver.take<float>(n_head * score_stride);
    sum_out = carver.take<float>(n_head * stride);
    row_sum = carver.take<float>(n_head);
    size_bytes = carver.used;
  }
};

/// scores[j] = q . k_j for kLanes keys, of which the first n_keys exist. Each key has its own
/// vector of partial sums; a transpose turns the sums over lanes into sums of vectors.
template <typename KeyAct>
NC_INLINE F32 scores_of_keys(const float* q, const KeyAct* k, int64_t k_stride, int64_t n_keys,
                             int64_t D) {
  F32 sums[kLanes];
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) sums[i] = zero();
  if (n_keys == kLanes) {
    for_vectors(D, [&](int64_t d, auto part) {
      const F32 qd = load(q + d);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        sums[i] = fma(qd, load_at(k + i * k_stride + d, part), sums[i]);
      }
    });
  } else {
    for (int i = 0; i < n_keys; ++i) {
      for_vectors(D, [&](int64_t d, auto part) {
        sums[i] = fma(load(q + d), load_at(k + i * k_stride + d, part), sums[i]);
      });
    }
  }
  transpose(sums);
#pragma GCC unroll 4
  for (int width = kLanes / 2; width > 0; width /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < width; ++i) sums[i] = sums[i] + sums[i + width];
  }
  return sums[0];
}

/// out[d] += sum_j p[j] v_j[d].
template <typename KeyAct, int kVectors>
NC_INLINE void add_values(const float* p, const KeyAct* v, int64_t v_stride, int64_t n_keys,
                          float* out) {
  F32 sums[kVectors];
#pragma GCC unroll 8
  for (int i = 0; i < kVectors; ++i) sums[i] = load(out + i * kLanes);
  for (int64_t j = 0; j < n_keys; ++j) {
    const F32 pj = set1(p[j]);
#pragma GCC unroll 8
    for (int i = 0; i < kVectors; ++i) {
      sums[i] = fma(pj, load(v + j * v_stride + i * kLanes), sums[i]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kVectors; ++i) store(out + i * kLanes, sums[i]);
}

template <typename Act, typename KeyAct>
void decode_item(const AttentionForwardItem& item) {
  const int64_t D = item.head_dim;
  const int64_t n_head = item.n_kv_head * item.group;
  const DecodeScratch s(item.scratch, D, n_head, item.first_position + item.query_end);
  for (int64_t row = item.query_begin; row < item.query_end; ++row) {
    const Span keys = visible_keys(item.first_position + row, item.window);
    const int64_t n_keys = keys.end - keys.begin;
    const auto k = static_cast<const KeyAct*>(item.k) + keys.begin * item.kv_stride;
    const auto v = static_cast<const KeyAct*>(item.v) + keys.begin * item.kv_stride;

    const Act* const q = static_cast<const Act*>(item.q) + row * item.q_stride;
    for (int64_t head = 0; head < n_head; ++head) {
      for_vectors(D, [&](int64_t d, auto part) {
        store(s.queries + head * s.stride + d, load_at(q + head * D + d, part) * set1(item.scale));
      });
    }
    for (int64_t j = 0; j < n_keys; j += kLanes) {
      const int64_t n = smaller(n_keys - j, kLanes);
      prefetch_rows(k, item.kv_stride, j + kDecodeAhead, smaller(j + kDecodeAhead + kLanes, n_keys),
                    item.n_kv_head * D);
      for (int64_t head = 0; head < n_head; ++head) {
        store(s.scores + head * s.score_stride + j,
              scores_of_keys(s.queries + head * s.stride,
                             k + j * item.kv_stride + head / item.group * D, item.kv_stride, n, D));
      }
    }

    for (int64_t head = 0; head < n_head; ++head) {
      float* const scores = s.scores + head * s.score_stride;
      const Span all = {0, round_up(n_keys, kLanes)};
      mask_columns(scores, all, {0, n_keys});
      F32 max_score = set1(-__builtin_inff());
      for (int64_t j = 0; j < all.end; j += kLanes) max_score = max(max_score, load(scores + j));
      const F32 row_max = set1(reduce_max(max_score));
      F32 sum = zero();
      for (int64_t j = 0; j < all.end; j += kLanes) {
        const F32 p = exp(load(scores + j) - row_max);
        sum = sum + p;
        store(scores + j, p);
      }
      s.row_sum[head] = reduce_add(sum);
    }

    memset(s.sum_out, 0, static_cast<size_t>(n_head * s.stride) * sizeof(float));
    for (int64_t begin = 0; begin < n_keys; begin += kDecodeValues) {
      const int64_t n = smaller(kDecodeValues, n_keys - begin);
      prefetch_rows(v, item.kv_stride, begin + kDecodeAhead,
                    smaller(begin + kDecodeAhead + kDecodeValues, n_keys), item.n_kv_head * D);
      for (int64_t head = 0; head < n_head; ++head) {
        const float* const p = s.scores + head * s.score_stride + begin;
        float* const out = s.sum_out + head * s.stride;
        const KeyAct* const values = v + begin * item.kv_stride + head / item.group * D;
        int64_t d = 0;
        for (; d + 8 * kLanes <= D; d += 8 * kLanes) {
          add_values<KeyAct, 8>(p, values + d, item.kv_stride, n, out + d);
        }
        for (; d + kLanes <= D; d += kLanes) {
          add_values<KeyAct, 1>(p, values + d, item.kv_stride, n, out + d);
        }
        if (d == D) continue;
        F32 tail = load(out + d);
        for (int64_t j = 0; j < n; ++j) {
          const Partial part{static_cast<int>(D - d)};
          tail = fma(set1(p[j]), load_at(values + j * item.kv_stride + d, part), tail);
        }
        store(out + d, tail);
      }
    }
    Act* const out = static_cast<Act*>(item.out) + row * item.out_stride;
    for (int64_t head = 0; head < n_head; ++head) {
      const F32 inverse = set1(1.0F / s.row_sum[head]);
      for_vectors(D, [&](int64_t d, auto part) {
        store_at(out + head * D + d, load(s.sum_out + head * s.stride + d) * inverse, part);
      });
    }
  }
}

}  // namespace nanochat::cpu::NC_ISA
