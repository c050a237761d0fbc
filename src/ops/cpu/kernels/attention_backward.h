/// Flash attention, backward: the scores are computed again, tile by tile.
///   P  = e^(scale Q K^T - lse)          dV += P^T dO
///   dP = dO V^T                         dS  = scale P (dP - delta),   delta = rowsum(dO O)
///   dQ += dS K                          dK += dS^T Q
#pragma once

#include "ops/cpu/attention_kernels.h"
#include "ops/cpu/kernels/attention_tiles.h"

namespace nanochat::cpu::NC_ISA {

inline constexpr int64_t kBackwardQueries = 96;  // a multiple of kMr and 2
inline constexpr int64_t kBackwardKeys = 192;    // a multiple of kMr and kPanel

template <typename W>
struct BackwardScratch {
  W* keys;           // pack_transposed: for S
  W* values;         // pack_transposed: for dP
  W* key_columns;    // pack_columns: for dQ
  W* queries;        // pack_rows, [kBackwardQueries, row_stride]: for S
  W* dout;           // pack_rows: for dP
  W* query_columns;  // pack_columns: for dK
  W* dout_columns;   // pack_columns: for dV
  float* scores;     // [kBackwardQueries, kBackwardKeys]
  float* dprobs;     // [kBackwardQueries, kBackwardKeys]
  W* probs;          // P, k along queries: [kBackwardQueries / kPerWord, kBackwardKeys]
  W* dscores;        // dS, likewise
  W* dscore_rows;    // dS, k along keys: [kBackwardQueries, kBackwardKeys / kPerWord]
  float* dq;         // [kBackwardQueries, out_stride]
  float* delta;      // [kBackwardQueries]
  float* lse;        // [kBackwardQueries]
  int64_t row_stride;
  int64_t out_stride;
  int64_t size_bytes;

  BackwardScratch(void* base, int64_t head_dim, int64_t length) {
    Carver carver{static_cast<char*>(base)};
    constexpr int64_t kTile = kBackwardQueries * kBackwardKeys;
    const int64_t n_keys = round_up(length, kPanel);
    const int64_t columns = round_up(head_dim, kPanel);
    row_stride = round_up(words_for<W>(head_dim), kLanes);
    out_stride = round_up(head_dim, kLanes);
    keys = carver.take<W>(n_keys * words_for<W>(head_dim));
    values = carver.take<W>(n_keys * words_for<W>(head_dim));
    key_columns = carver.take<W>(n_keys / kPerWord<W> * columns);
    queries = carver.take<W>(kBackwardQueries * row_stride);
    dout = carver.take<W>(kBackwardQueries * row_stride);
    query_columns = carver.take<W>(kBackwardQueries / kPerWord<W> * columns);
    dout_columns = carver.take<W>(kBackwardQueries / kPerWord<W> * columns);
    scores = carver.take<float>(kTile);
    dprobs = carver.take<float>(kTile);
    probs = carver.take<W>(kTile / kPerWord<W>);
    dscores = carver.take<W>(kTile / kPerWord<W>);
    // Floats have one layout for both directions.
    dscore_rows = kPerWord<W> == 1 ? dscores : carver.take<W>(kTile / kPerWord<W>);
    dq = carver.take<float>(kBackwardQueries * out_stride);
    delta = carver.take<float>(kBackwardQueries);
    lse = carver.take<float>(kBackwardQueries);
    size_bytes = carver.used;
  }
};

/// The two accumulators behind one another, [rows, round_up(D, kLanes)] each.
NC_INLINE int64_t key_gradient_rows(int64_t length) { return round_up(length, kBackwardKeys); }
inline int64_t key_gradient_floats(int64_t head_dim, int64_t length) {
  return 2 * key_gradient_rows(length) * round_up(head_dim, kLanes);
}

/// Writes rows i and i + 1 (i even) of a tile as the A operand whose k runs along the rows.
NC_INLINE void store_row_pair(float* tile, int64_t stride, int64_t i, int64_t column, F32 x0,
                              F32 x1) {
  store(tile + i * stride + column, x0);
  store(tile + (i + 1) * stride + column, x1);
}
#if defined(NC_ISA_AVX512)
NC_INLINE void store_row_pair(Pair* tile, int64_t stride, int64_t i, int64_t column, F32 x0,
                              F32 x1) {
  const auto low = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x0));
  const auto high = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x1));
  const __m512i words = _mm512_or_si512(_mm512_cvtepu16_epi32(low),
                                        _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16));
  _mm512_storeu_si512(tile + i / 2 * stride + column, words);
}
#endif

/// Scores and dP of rows row and row + 1 into P and dS. `columns` were computed and end up right;
/// the rest of [0, n_columns) becomes 0, for the transposed products read whole rows of tiles.
template <typename W>
NC_INLINE void probabilities_and_gradients(const BackwardScratch<W>& s, int64_t row, Span columns,
                                           int64_t n_columns, float scale) {
  const float* const s0 = s.scores + row * kBackwardKeys;
  const float* const s1 = s0 + kBackwardKeys;
  const float* const dp0 = s.dprobs + row * kBackwardKeys;
  const float* const dp1 = dp0 + kBackwardKeys;
  const F32 scales = set1(scale);
  const F32 log2_scales = set1(scale * kLog2E);
  const F32 lse0 = set1(-kLog2E * s.lse[row]);
  const F32 lse1 = set1(-kLog2E * s.lse[row + 1]);
  const F32 delta0 = set1(s.delta[row]);
  const F32 delta1 = set1(s.delta[row + 1]);
  const auto write = [&](int64_t j, F32 p0, F32 p1, F32 ds0, F32 ds1) {
    store_row_pair(s.probs, kBackwardKeys, row, j, p0, p1);
    store_row_pair(s.dscores, kBackwardKeys, row, j, ds0, ds1);
    if constexpr (kPerWord<W> == 2) {
      bf16* const rows = reinterpret_cast<bf16*>(s.dscore_rows) + row * kBackwardKeys + j;
      store(rows, ds0);
      store(rows + kBackwardKeys, ds1);
    }
  };
  for (int64_t j = 0; j < columns.begin; j += kLanes) write(j, zero(), zero(), zero(), zero());
  for (int64_t j = columns.begin; j < columns.end; j += kLanes) {
    const F32 p0 = exp2_or_zero(fma(load(s0 + j), log2_scales, lse0));
    const F32 p1 = exp2_or_zero(fma(load(s1 + j), log2_scales, lse1));
    const F32 ds0 = scales * p0 * (load(dp0 + j) - delta0);
    const F32 ds1 = scales * p1 * (load(dp1 + j) - delta1);
    write(j, p0, p1, ds0, ds1);
  }
  for (int64_t j = columns.end; j < n_columns; j += kLanes) {
    write(j, zero(), zero(), zero(), zero());
  }
}

/// Packs one tile of queries; returns nothing of the rows behind n_rows but zeros.
template <typename Act, typename W>
NC_INLINE void load_queries(const AttentionBackwardItem& item, const BackwardScratch<W>& s,
                            int64_t head, int64_t begin, int64_t n_rows) {
  const int64_t D = item.head_dim;
  const auto q = static_cast<const Act*>(item.q) + begin * item.qkv_stride + head * D;
  const auto dout = static_cast<const Act*>(item.dout) + begin * item.out_stride + head * D;
  const auto out = static_cast<const Act*>(item.out) + begin * item.out_stride + head * D;
  const int64_t n_padded = round_up(n_rows, kMr);
  const auto padding = static_cast<size_t>((n_padded - n_rows) * s.row_stride) * sizeof(W);
  pack_rows<W>(q, item.qkv_stride, n_rows, D, s.queries, s.row_stride);
  pack_rows<W>(dout, item.out_stride, n_rows, D, s.dout, s.row_stride);
  memset(s.queries + n_rows * s.row_stride, 0, padding);
  memset(s.dout + n_rows * s.row_stride, 0, padding);
  constexpr int64_t kWords = kBackwardQueries / kPerWord<W>;
  pack_columns<W>(q, item.qkv_stride, n_rows, D, kWords, s.query_columns);
  pack_columns<W>(dout, item.out_stride, n_rows, D, kWords, s.dout_columns);
  for (int64_t r = 0; r < n_padded; ++r) {
    s.delta[r] = 0;
    s.lse[r] = 0;
    if (r >= n_rows) continue;
    F32 sum = zero();
    for_vectors(D, [&](int64_t d, auto part) {
      sum = fma(load_at(dout + r * item.out_stride + d, part),
                load_at(out + r * item.out_stride + d, part), sum);
    });
    s.delta[r] = reduce_add(sum);
    s.lse[r] = item.lse[(begin + r) * item.lse_stride + head];
  }
}

/// All that one tile of queries and one block of keys exchange.
template <typename W>
NC_INLINE void backward_tile(const AttentionBackwardItem& item, const BackwardScratch<W>& s,
                             int64_t position, int64_t n_rows, Span block, float* dk, float* dv) {
  const int64_t D = item.head_dim;
  const int64_t n_words = words_for<W>(D);
  const int64_t n_keys = block.end - block.begin;
  const int64_t column_words = round_up(item.length, kPanel) / kPerWord<W>;  // of key_columns
  constexpr int64_t kQueryWords = kBackwardQueries / kPerWord<W>;
  constexpr int64_t kTileWords = kBackwardKeys / kPerWord<W>;
  const auto columns_of = [&](int64_t row) {
    return columns_of_rows(position + row, position + smaller(row + kMr, n_rows) - 1, item.window,
                           block);
  };

  // S = Q K^T and dP = dO V^T, a panel of keys at a time.
  const auto against_keys = [&](const W* rows, const W* packed, float* tile) {
    for (int64_t panel = 0; panel < n_keys; panel += kPanel) {
      const W* const at = packed + (block.begin + panel) * n_words;
      for (int64_t row = 0; row < n_rows; row += kMr) {
        const Span columns = columns_of(row);
        const int64_t from = larger(columns.begin - panel, 0);
        const int64_t n_vectors = (smaller(columns.end - panel, kPanel) - from) / kLanes;
        if (n_vectors <= 0) continue;
        multiply<W, false>(n_vectors, n_words, rows + row * s.row_stride, s.row_stride, 1,
                           at + from, tile + row * kBackwardKeys + panel + from, kBackwardKeys);
      }
    }
  };
  against_keys(s.queries, s.keys, s.scores);
  against_keys(s.dout, s.values, s.dprobs);

  const int64_t n_columns = round_up(round_up(n_keys, kMr), kLanes);
  for (int64_t row = 0; row < n_rows; row += 2) {
    const Span columns = columns_of(round_down(row, kMr));
    for (int64_t r = row; r < row + 2; ++r) {
      // A row behind the last has Q = dO = 0 but must not give P = 1: it sees nothing.
      const Span all = visible_keys(position + r, item.window);
      const int64_t from = larger(all.begin, block.begin) - block.begin;
      const int64_t to = smaller(all.end, block.end) - block.begin;
      const bool none = r >= n_rows || from >= to;
      mask_columns(s.scores + r * kBackwardKeys, columns,
                   none ? Span{columns.end, columns.end} : Span{from, to});
    }
    probabilities_and_gradients(s, row, columns, n_columns, item.scale);
  }

  // dV += P^T dO and dK += dS^T Q: the queries that see a group of keys are a range too.
  const auto against_queries = [&](const W* tile, const W* packed, float* sums) {
    for (int64_t d = 0; d < D; d += kPanel) {
      const int64_t n_vectors = smaller(kPanel, s.out_stride - d) / kLanes;
      for (int64_t key = 0; key < n_keys; key += kMr) {
        const int64_t first = larger(block.begin + key - position, 0);
        const int64_t last_key = smaller(block.begin + key + kMr, block.end) - 1;
        const int64_t end =
            item.window < 0 ? n_rows : smaller(n_rows, last_key + item.window + 1 - position);
        const int64_t from = first / kPerWord<W>;
        const int64_t to = words_for<W>(end);
        if (first >= end) continue;
        multiply<W, true>(n_vectors, to - from, tile + from * kBackwardKeys + key, 1, kBackwardKeys,
                          packed + d * kQueryWords + from * kPanel,
                          sums + (block.begin + key) * s.out_stride + d, s.out_stride);
      }
    }
  };
  against_queries(s.probs, s.dout_columns, dv);
  against_queries(s.dscores, s.query_columns, dk);

  // dQ += dS K.
  for (int64_t d = 0; d < D; d += kPanel) {
    const int64_t n_vectors = smaller(kPanel, s.out_stride - d) / kLanes;
    const W* const keys = s.key_columns + d * column_words + block.begin / kPerWord<W> * kPanel;
    for (int64_t row = 0; row < n_rows; row += kMr) {
      const Span columns = columns_of(row);
      const int64_t n_k = (columns.end - columns.begin) / kPerWord<W>;
      if (n_k <= 0) continue;
      const int64_t from = columns.begin / kPerWord<W>;
      multiply<W, true>(n_vectors, n_k, s.dscore_rows + row * kTileWords + from, kTileWords, 1,
                        keys + from * kPanel, s.dq + row * s.out_stride + d, s.out_stride);
    }
  }
}

template <typename Act, typename W>
void backward_item(const AttentionBackwardItem& item) {
  const int64_t D = item.head_dim;
  const int64_t length = item.length;
  const BackwardScratch<W> s(item.scratch, D, length);
  const auto k = static_cast<const Act*>(item.k);
  const auto v = static_cast<const Act*>(item.v);
  pack_transposed<W>(k, item.qkv_stride, length, D, s.keys);
  pack_transposed<W>(v, item.qkv_stride, length, D, s.values);
  pack_columns<W>(k, item.qkv_stride, length, D, round_up(length, kPanel) / kPerWord<W>,
                  s.key_columns);
  float* const dk = item.key_gradients;
  float* const dv = dk + key_gradient_rows(length) * s.out_stride;
  memset(item.key_gradients, 0,
         static_cast<size_t>(key_gradient_floats(D, length)) * sizeof(float));

  const int64_t n_blocks = (length + kBackwardQueries - 1) / kBackwardQueries;
  // Later blocks see more keys: dealing them out in turn keeps the parts equal.
  for (int64_t i = item.part; i < n_blocks * item.group; i += item.n_parts) {
    const int64_t head = i / n_blocks;
    const int64_t begin = i % n_blocks * kBackwardQueries;
    const int64_t n_rows = smaller(kBackwardQueries, length - begin);
    load_queries<Act>(item, s, head, begin, n_rows);
    memset(s.dq, 0, static_cast<size_t>(kBackwardQueries * s.out_stride) * sizeof(float));
    const int64_t first_key = visible_keys(begin, item.window).begin;
    for (int64_t key = round_down(first_key, kBackwardKeys); key < begin + n_rows;
         key += kBackwardKeys) {
      const Span block = {key, smaller(key + kBackwardKeys, begin + n_rows)};
      backward_tile(item, s, begin, n_rows, block, dk, dv);
    }
    Act* const dq = static_cast<Act*>(item.dq) + begin * item.qkv_stride + head * D;
    for (int64_t r = 0; r < n_rows; ++r) {
      for_vectors(D, [&](int64_t d, auto part) {
        store_at(dq + r * item.qkv_stride + d, load(s.dq + r * s.out_stride + d), part);
      });
    }
  }
}

template <typename Act>
void write_key_gradients(const KeyGradientItem& item) {
  const int64_t stride = round_up(item.head_dim, kLanes);
  const int64_t part_floats = key_gradient_floats(item.head_dim, item.length);
  const auto write = [&](const float* sums, Act* y) {
    for (int64_t key = item.begin; key < item.end; ++key) {
      for_vectors(item.head_dim, [&](int64_t d, auto tail) {
        F32 sum = load(sums + key * stride + d);
        for (int64_t part = 1; part < item.n_parts; ++part) {
          sum = sum + load(sums + part * part_floats + key * stride + d);
        }
        store_at(y + key * item.qkv_stride + d, sum, tail);
      });
    }
  };
  write(item.key_gradients, static_cast<Act*>(item.dk));
  write(item.key_gradients + key_gradient_rows(item.length) * stride, static_cast<Act*>(item.dv));
}

}  // namespace nanochat::cpu::NC_ISA
