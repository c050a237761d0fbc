/// Flash attention, forward (Dao et al. 2022, arXiv:2205.14135): tiles of kQueryRows queries by
/// kKeyBlock keys, with a running maximum and sum per row, so that scores stay in cache.
#pragma once

#include "ops/cpu/attention_kernels.h"
#include "ops/cpu/kernels/attention_tiles.h"

namespace nanochat::cpu::NC_ISA {

inline constexpr int64_t kQueryRows = 96;   // a multiple of kMr and 2
inline constexpr int64_t kKeyBlock = 512;   // scores: 96 x 512 floats = 192 KiB, a part of L2
inline constexpr int64_t kValueRows = 128;  // keys of one P V step: their panel stays in L1

template <typename W>
struct ForwardScratch {
  W* keys;         // pack_transposed
  W* values;       // pack_columns
  W* queries;      // [kQueryRows, query_stride]
  float* scores;   // [kQueryRows, kKeyBlock]
  W* probs;        // [kQueryRows, kKeyBlock / kPerWord]; floats: the scores themselves
  float* sum_out;  // [kQueryRows, out_stride]
  float* row_max;  // [kQueryRows]
  float* row_sum;
  int64_t query_stride;
  int64_t out_stride;
  int64_t size_bytes;

  ForwardScratch(void* base, int64_t head_dim, int64_t n_keys) {
    Carver carver{static_cast<char*>(base)};
    const int64_t n_padded = round_up(n_keys, kPanel);
    query_stride = round_up(words_for<W>(head_dim), kLanes);
    out_stride = round_up(head_dim, kLanes);
    keys = carver.take<W>(n_padded * words_for<W>(head_dim));
    values = carver.take<W>(words_for<W>(n_padded) * round_up(head_dim, kPanel));
    queries = carver.take<W>(kQueryRows * query_stride);
    scores = carver.take<float>(kQueryRows * kKeyBlock);
    if constexpr (kPerWord<W> == 1) {
      probs = scores;
    } else {
      probs = carver.take<W>(kQueryRows * kKeyBlock / kPerWord<W>);
    }
    sum_out = carver.take<float>(kQueryRows * out_stride);
    row_max = carver.take<float>(kQueryRows);
    row_sum = carver.take<float>(kQueryRows);
    size_bytes = carver.used;
  }
};

/// Probabilities of one row and one key block, 2^(scale s - new maximum), into `probs`; updates the
/// row's maximum and sum. Returns what the row's earlier sums must be multiplied by; `scale` and
/// the maximum carry a factor of log2 e, which makes e^x a 2^x for nothing.
template <typename P>
NC_INLINE float softmax_block(float* scores, Span columns, Span visible, float scale, P* probs,
                              float& row_max, float& row_sum) {
  mask_columns(scores, columns, visible);
  const F32 scales = set1(scale);
  F32 max4[4];
  for (F32& m : max4) m = set1(-__builtin_inff());
  int64_t j = columns.begin;
  for (; j + 4 * kLanes <= columns.end; j += 4 * kLanes) {
#pragma GCC unroll 4
    for (int u = 0; u < 4; ++u) {
      max4[u] = max(max4[u], scales * load(scores + j + u * kLanes));
    }
  }
  for (; j < columns.end; j += kLanes) max4[0] = max(max4[0], scales * load(scores + j));
  const float block_max = reduce_max(max(max(max4[0], max4[1]), max(max4[2], max4[3])));
  const float old_max = row_max;
  const float new_max = block_max > old_max ? block_max : old_max;

  const F32 minus_max = set1(-new_max);
  F32 sum = zero();
  for (j = columns.begin; j < columns.end; j += kLanes) {
    const F32 p = exp2_or_zero(fma(load(scores + j), scales, minus_max));
    sum = sum + p;
    store(probs + j, p);
  }
  const float block_sum = reduce_add(sum);
  row_max = new_max;
  if (new_max == old_max) {
    row_sum += block_sum;
    return 1;
  }
  // At the first block old_max is -inf and the factor 0.
  const float factor = exp2_or_zero(set1(old_max - new_max))[0];
  row_sum = row_sum * factor + block_sum;
  return factor;
}

template <typename Act, typename KeyAct, typename W>
void forward_item(const AttentionForwardItem& item) {
  const int64_t D = item.head_dim;
  const int64_t n_words = words_for<W>(D);
  // Blocks and panels start at fixed keys whatever rows the item has, so cuts do not change bits.
  const int64_t key_base = round_down(
      visible_keys(item.first_position + item.query_begin, item.window).begin, kValueRows);
  const int64_t key_end = item.first_position + item.query_end;
  const int64_t n_keys = key_end - key_base;
  const ForwardScratch<W> scratch(item.scratch, D, n_keys);
  const int64_t value_words = round_up(n_keys, kPanel) / kPerWord<W>;  // words of a values panel
  pack_transposed<W>(static_cast<const KeyAct*>(item.k) + key_base * item.kv_stride, item.kv_stride,
                     n_keys, D, scratch.keys);
  pack_columns<W>(static_cast<const KeyAct*>(item.v) + key_base * item.kv_stride, item.kv_stride,
                  n_keys, D, value_words, scratch.values);

  for (int64_t head = 0; head < item.group; ++head) {
    const Act* const q_head = static_cast<const Act*>(item.q) + head * D;
    Act* const out_head = static_cast<Act*>(item.out) + head * D;
    for (int64_t begin = item.query_begin; begin < item.query_end; begin += kQueryRows) {
      const int64_t n_rows = smaller(kQueryRows, item.query_end - begin);
      const int64_t n_padded = round_up(n_rows, kMr);
      const int64_t position = item.first_position + begin;  // of row 0 of this tile
      pack_rows<W>(q_head + begin * item.q_stride, item.q_stride, n_rows, D, scratch.queries,
                   scratch.query_stride);
      memset(scratch.queries + n_rows * scratch.query_stride, 0,
             static_cast<size_t>((n_padded - n_rows) * scratch.query_stride) * sizeof(W));
      memset(scratch.sum_out, 0,
             static_cast<size_t>(n_padded * scratch.out_stride) * sizeof(float));
      for (int64_t r = 0; r < n_rows; ++r) {
        scratch.row_max[r] = -__builtin_inff();
        scratch.row_sum[r] = 0;
      }

      const int64_t first_key = visible_keys(position, item.window).begin;
      const int64_t end_key = position + n_rows;
      for (int64_t block_begin = round_down(first_key, kKeyBlock); block_begin < end_key;
           block_begin += kKeyBlock) {
        // The item's packed keys may start inside the first block.
        const Span block = {larger(block_begin, key_base),
                            smaller(block_begin + kKeyBlock, end_key)};
        const auto columns_of = [&](int64_t row) {
          return columns_of_rows(position + row, position + smaller(row + kMr, n_rows) - 1,
                                 item.window, block);
        };
        // S = Q K^T, a panel of keys at a time.
        for (int64_t panel = 0; panel < block.end - block.begin; panel += kPanel) {
          const W* const keys = scratch.keys + (block.begin - key_base + panel) * n_words;
          for (int64_t row = 0; row < n_rows; row += kMr) {
            if (panel == 0) {
              // What is needed when this block is done comes while the products run.
              const int64_t next = begin + kQueryRows + row;
              prefetch_rows(q_head, item.q_stride, next, smaller(next + kMr, item.query_end), D);
              prefetch_rows(out_head, item.out_stride, begin + row,
                            begin + smaller(row + kMr, n_rows), D);
            }
            const Span columns = columns_of(row);
            const int64_t from = larger(columns.begin - panel, 0);
            const int64_t n_vectors = (smaller(columns.end - panel, kPanel) - from) / kLanes;
            if (n_vectors <= 0) continue;
            multiply<W, false>(n_vectors, n_words, scratch.queries + row * scratch.query_stride,
                               scratch.query_stride, 1, keys + from,
                               scratch.scores + row * kKeyBlock + panel + from, kKeyBlock);
          }
        }
        // P = e^(S - max), O *= factor.
        for (int64_t row = 0; row < n_rows; ++row) {
          const Span columns = columns_of(round_down(row, kMr));
          const Span all = visible_keys(position + row, item.window);
          const Span visible = {larger(all.begin, block.begin) - block.begin,
                                smaller(all.end, block.end) - block.begin};
          float* const scores = scratch.scores + row * kKeyBlock;
          const auto probs = [&] {
            if constexpr (kPerWord<W> == 1) {
              return scores;
            } else {
              return reinterpret_cast<bf16*>(scratch.probs) + row * kKeyBlock;
            }
          }();
          if (visible.begin >= visible.end) {
            for (int64_t j = columns.begin; j < columns.end; j += kLanes) store(probs + j, zero());
            continue;
          }
          const bool first = scratch.row_sum[row] == 0;
          const float factor = softmax_block(scores, columns, visible, item.scale * kLog2E, probs,
                                             scratch.row_max[row], scratch.row_sum[row]);
          if (first || factor == 1) continue;
          float* const out = scratch.sum_out + row * scratch.out_stride;
          for (int64_t d = 0; d < scratch.out_stride; d += kLanes) {
            store(out + d, load(out + d) * set1(factor));
          }
        }
        // O += P V.
        for (int64_t part = 0; part < block.end - block.begin; part += kValueRows) {
          for (int64_t d = 0; d < D; d += kPanel) {
            const int64_t n_vectors = smaller(kPanel, scratch.out_stride - d) / kLanes;
            const W* const values = scratch.values + d * value_words;
            for (int64_t row = 0; row < n_rows; row += kMr) {
              const Span columns = columns_of(row);
              const int64_t from = larger(columns.begin, part);
              const int64_t to = smaller(columns.end, part + kValueRows);
              if (from >= to) continue;
              multiply<W, true>(n_vectors, (to - from) / kPerWord<W>,
                                scratch.probs + (row * kKeyBlock + from) / kPerWord<W>,
                                kKeyBlock / kPerWord<W>, 1,
                                values + (block.begin - key_base + from) / kPerWord<W> * kPanel,
                                scratch.sum_out + row * scratch.out_stride + d, scratch.out_stride);
            }
          }
        }
      }

      for (int64_t r = 0; r < n_rows; ++r) {
        const F32 inverse = set1(1.0F / scratch.row_sum[r]);
        const float* const sums = scratch.sum_out + r * scratch.out_stride;
        Act* const out = out_head + (begin + r) * item.out_stride;
        for_vectors(
            D, [&](int64_t d, auto part) { store_at(out + d, load(sums + d) * inverse, part); });
        if (item.lse != nullptr) {
          item.lse[(begin + r) * item.lse_stride + head] =
              scratch.row_max[r] * kLn2 + __builtin_logf(scratch.row_sum[r]);
        }
      }
    }
  }
}

}  // namespace nanochat::cpu::NC_ISA
