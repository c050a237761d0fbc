/// Attention of few queries against many keys: each key and value is read where it lies, once for
/// the whole group of heads, and there is nothing to pack. Memory sets the pace, so all is done in
/// f32.
#pragma once

#include "ops/cpu/attention_kernels.h"
#include "ops/cpu/kernels/attention_tiles.h"

namespace nanochat::cpu::NC_ISA {

// Values of this many keys stay in L2 while every head of the group passes over them.
inline constexpr int64_t kDecodeValues = 256;

struct DecodeScratch {
  float* queries;  // [group, stride], scaled
  float* scores;   // [group, n_keys]
  float* sum_out;  // [group, stride]
  float* row_sum;  // [group]
  int64_t stride;
  int64_t score_stride;
  int64_t size_bytes;

  DecodeScratch(void* base, int64_t head_dim, int64_t group, int64_t n_keys) {
    Carver carver{static_cast<char*>(base)};
    stride = round_up(head_dim, kLanes);
    score_stride = round_up(n_keys, kLanes);
    queries = carver.take<float>(group * stride);
    scores = carver.take<float>(group * score_stride);
    sum_out = carver.take<float>(group * stride);
    row_sum = carver.take<float>(group);
    size_bytes = carver.used;
  }
};

/// scores[j] = q . k_j for kLanes keys. Each key has its own vector of partial sums; a transpose
/// turns the sums over lanes into sums of vectors.
template <typename KeyAct>
NC_INLINE F32 scores_of_keys(const float* q, const KeyAct* k, int64_t k_stride, int64_t n_keys,
                             int64_t D) {
  F32 sums[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    F32 sum = zero();
    if (i < n_keys) {
      const KeyAct* const key = k + i * k_stride;
      for_vectors(
          D, [&](int64_t d, auto part) { sum = fma(load(q + d), load_at(key + d, part), sum); });
    }
    sums[i] = sum;
  }
  transpose(sums);
#pragma GCC unroll 4
  for (int width = kLanes / 2; width > 0; width /= 2) {
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
  const DecodeScratch s(item.scratch, D, item.group, item.first_position + item.query_end);
  for (int64_t row = item.query_begin; row < item.query_end; ++row) {
    const Span keys = visible_keys(item.first_position + row, item.window);
    const int64_t n_keys = keys.end - keys.begin;
    const auto k = static_cast<const KeyAct*>(item.k) + keys.begin * item.kv_stride;
    const auto v = static_cast<const KeyAct*>(item.v) + keys.begin * item.kv_stride;

    const Act* const q = static_cast<const Act*>(item.q) + row * item.q_stride;
    for (int64_t head = 0; head < item.group; ++head) {
      for_vectors(D, [&](int64_t d, auto part) {
        store(s.queries + head * s.stride + d, load_at(q + head * D + d, part) * set1(item.scale));
      });
    }
    for (int64_t j = 0; j < n_keys; j += kLanes) {
      const int64_t n = smaller(n_keys - j, kLanes);
      for (int64_t head = 0; head < item.group; ++head) {
        store(s.scores + head * s.score_stride + j,
              scores_of_keys(s.queries + head * s.stride, k + j * item.kv_stride, item.kv_stride, n,
                             D));
      }
    }

    for (int64_t head = 0; head < item.group; ++head) {
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

    memset(s.sum_out, 0, static_cast<size_t>(item.group * s.stride) * sizeof(float));
    for (int64_t begin = 0; begin < n_keys; begin += kDecodeValues) {
      const int64_t n = smaller(kDecodeValues, n_keys - begin);
      for (int64_t head = 0; head < item.group; ++head) {
        const float* const p = s.scores + head * s.score_stride + begin;
        float* const out = s.sum_out + head * s.stride;
        const KeyAct* const values = v + begin * item.kv_stride;
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
    for (int64_t head = 0; head < item.group; ++head) {
      const F32 inverse = set1(1.0F / s.row_sum[head]);
      for_vectors(D, [&](int64_t d, auto part) {
        store_at(out + head * D + d, load(s.sum_out + head * s.stride + d) * inverse, part);
      });
    }
  }
}

}  // namespace nanochat::cpu::NC_ISA
