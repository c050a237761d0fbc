// Attention of the reference: its mask, its runs, and that a key/value cache changes nothing.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/parallel.h"
#include "ops/backend.h"
#include "support/compare.h"
#include "support/guarded.h"
#include "support/random.h"

namespace nanochat {
namespace {

using test::converted;
using test::expect_close;
using test::GuardedTensor;
using test::random_normal;
using test::same_bits;

Backend& ops() { return reference_backend(); }

struct Segment {
  int32_t length, position, slot;
};

/// Runs that follow one another in the batch.
TokenRuns runs_of(const std::vector<Segment>& segments) {
  std::vector<Run> runs;
  int32_t n_tokens = 0;
  for (const auto& [length, position, slot] : segments) {
    runs.push_back({.row_begin = n_tokens, .length = length, .position = position, .slot = slot});
    n_tokens += length;
  }
  return {runs, n_tokens};
}

TEST(ReferenceAttention, EqualLogitsGiveTheMeanOfTheValuesInTheWindow) {
  constexpr int64_t T = 6;
  for (const int64_t window : {-1, 0, 2, 100}) {
    SCOPED_TRACE(window);
    const AttentionShape shape{
        .n_head = 2, .n_kv_head = 1, .head_dim = 1, .window = window, .scale = 0.3F};
    Tensor qkv = zeros({T, 4}, DType::kF64);
    Tensor expected({T, 2}, DType::kF64);
    Tensor expected_lse({T, 2}, DType::kF64);
    for (int64_t t = 0; t < T; ++t) {
      qkv.data<double>()[4 * t + 3] = static_cast<double>(t * t);  // v
      const int64_t first = window < 0 ? 0 : std::max<int64_t>(0, t - window);
      double sum = 0;
      for (int64_t j = first; j <= t; ++j) sum += static_cast<double>(j * j);
      const auto n_keys = static_cast<double>(t + 1 - first);
      for (int64_t h = 0; h < 2; ++h) {
        expected.data<double>()[2 * t + h] = sum / n_keys;
        expected_lse.data<double>()[2 * t + h] = std::log(n_keys);
      }
    }
    GuardedTensor out({T, 2}, DType::kF64);
    GuardedTensor lse({T, 2}, DType::kF64);
    ops().attention(qkv, TokenRuns::uniform(1, T), shape, *out, *lse);
    expect_close(*out, expected, {.rel_of_max = 1e-15});
    expect_close(*lse, expected_lse, {.rel_of_max = 1e-15});
    EXPECT_TRUE(out.check());
    EXPECT_TRUE(lse.check());
  }
}

TEST(ReferenceAttention, HugeLogitsNeitherOverflowNorVanish) {
  const AttentionShape shape{.n_head = 1, .n_kv_head = 1, .head_dim = 1, .scale = 1};
  for (const double huge : {1e5, -1e5}) {
    const Tensor qkv =
        tensor_of<double>(std::vector<double>{1, huge, 2, 1, 3 * huge, 5, 1, 3 * huge, 7}, {3, 3});
    GuardedTensor out({3, 1}, DType::kF64);
    GuardedTensor lse({3, 1}, DType::kF64);
    ops().attention(qkv, TokenRuns::uniform(1, 3), shape, *out, *lse);
    const std::vector<double> expected =
        huge > 0 ? std::vector<double>{2, 5, 6} : std::vector<double>{2, 2, 2};
    EXPECT_EQ(test::to_doubles(*out), expected);
    EXPECT_DOUBLE_EQ(test::to_doubles(*lse)[2], huge > 0 ? 3 * huge + std::log(2) : huge);
  }
}

TEST(ReferenceAttention, QueryHeadsReadTheKeyHeadOfTheirGroup) {
  // One row, so each output is its value head: 0 0 0 1 1 1 for six heads over two.
  const AttentionShape shape{.n_head = 6, .n_kv_head = 2, .head_dim = 1, .scale = 1};
  const Tensor qkv =
      tensor_of<double>(std::vector<double>{1, 2, 3, 4, 5, 6, -1, -2, 30, 40}, {1, 10});
  GuardedTensor out({1, 6}, DType::kF64);
  Tensor no_lse;
  ops().attention(qkv, TokenRuns::uniform(1, 1), shape, *out, no_lse);
  EXPECT_EQ(test::to_doubles(*out), (std::vector<double>{30, 30, 30, 40, 40, 40}));
  EXPECT_TRUE(out.check());
}

TEST(ReferenceAttention, NeverCrossesARun) {
  const AttentionShape shape{
      .n_head = 2, .n_kv_head = 1, .head_dim = 3, .window = 4, .scale = 0.5F};
  const TokenRuns runs = runs_of({{4, 0, 0}, {0, 3, 0}, {6, 5, 0}, {1, 0, 0}});
  const Tensor qkv = random_normal({11, shape.qkv_dim()}, DType::kF32, 1);
  const Tensor dout = random_normal({11, shape.q_dim()}, DType::kF32, 2);
  GuardedTensor out({11, shape.q_dim()}, DType::kF32);
  GuardedTensor lse({11, 2}, DType::kF32);
  GuardedTensor dqkv({11, shape.qkv_dim()}, DType::kF32);
  ops().attention(qkv, runs, shape, *out, *lse);
  ops().attention_backward(dout, qkv, *out, *lse, runs, shape, *dqkv);
  for (const nanochat::Run& run : runs.runs()) {  // each alone gives the same bits
    const int64_t end = run.row_begin + run.length;
    const TokenRuns alone = TokenRuns::uniform(1, run.length);
    GuardedTensor out_alone({run.length, shape.q_dim()}, DType::kF32);
    GuardedTensor lse_alone({run.length, 2}, DType::kF32);
    GuardedTensor dqkv_alone({run.length, shape.qkv_dim()}, DType::kF32);
    const Tensor qkv_alone = qkv.rows(run.row_begin, end);
    ops().attention(qkv_alone, alone, shape, *out_alone, *lse_alone);
    ops().attention_backward(dout.rows(run.row_begin, end), qkv_alone, *out_alone, *lse_alone,
                             alone, shape, *dqkv_alone);
    EXPECT_TRUE(same_bits((*out).rows(run.row_begin, end), *out_alone));
    EXPECT_TRUE(same_bits((*dqkv).rows(run.row_begin, end), *dqkv_alone));
    EXPECT_TRUE(out_alone.check());
    EXPECT_TRUE(dqkv_alone.check());
  }
}

TEST(ReferenceAttention, TheNumberOfThreadsDoesNotChangeTheResult) {
  const int before = num_threads();
  const AttentionShape shape{.n_head = 4, .n_kv_head = 4, .head_dim = 16, .scale = 0.25F};
  const TokenRuns runs = TokenRuns::uniform(2, 40);
  const Tensor qkv = random_normal({80, shape.qkv_dim()}, DType::kF32, 3);
  const Tensor dout = random_normal({80, shape.q_dim()}, DType::kF32, 4);
  std::vector<Tensor> outs;
  std::vector<Tensor> dqkvs;
  for (const int threads : {1, 3}) {
    set_num_threads(threads);
    Tensor out({80, shape.q_dim()}, DType::kF32);
    Tensor lse({80, 4}, DType::kF32);
    Tensor dqkv({80, shape.qkv_dim()}, DType::kF32);
    ops().attention(qkv, runs, shape, out, lse);
    ops().attention_backward(dout, qkv, out, lse, runs, shape, dqkv);
    outs.push_back(out);
    dqkvs.push_back(dqkv);
  }
  set_num_threads(before);
  EXPECT_TRUE(same_bits(outs[1], outs[0]));
  EXPECT_TRUE(same_bits(dqkvs[1], dqkvs[0]));
}

/// Three sequences, given whole to attention, and in pieces to a cache of four slots; a piece of a
/// sequence is a run of the batch in which it comes.
class CachedAttention : public ::testing::TestWithParam<int64_t> {
 protected:
  static constexpr int32_t kLengths[3] = {9, 1, 6};
  static constexpr int32_t kSlots[3] = {2, 0, 3};
  static constexpr int64_t kCapacity = 11;
  const AttentionShape shape_{
      .n_head = 4, .n_kv_head = 2, .head_dim = 3, .window = GetParam(), .scale = 0.6F};

  /// Row of token t of sequence s in the whole batch.
  static int64_t whole_row(int s, int64_t t) {
    int64_t row = t;
    for (int earlier = 0; earlier < s; ++earlier) row += kLengths[earlier];
    return row;
  }

  /// The rows of `qkv` that `batch` names, as sequence and token, go through cache and attention;
  /// their outputs come back into `out` at the rows of the whole.
  void feed(const Tensor& qkv, const std::vector<std::pair<int, Segment>>& batch, KvCache& cache,
            Tensor& out) {
    std::vector<Segment> segments;
    std::vector<int64_t> rows;
    for (const auto& [s, segment] : batch) {
      segments.push_back(segment);
      for (int32_t t = 0; t < segment.length; ++t) {
        rows.push_back(whole_row(s, segment.position + t));
      }
    }
    const auto n = static_cast<int64_t>(rows.size());
    const TokenRuns runs = runs_of(segments);
    Tensor piece({n, shape_.qkv_dim()}, qkv.dtype());
    for (int64_t i = 0; i < n; ++i) {
      Tensor row = piece.rows(i, i + 1);
      ops().copy(qkv.rows(rows[i], rows[i] + 1), row);
    }
    GuardedTensor piece_out({n, shape_.q_dim()}, qkv.dtype());
    ops().kv_cache_append(piece, runs, shape_, cache);
    ops().attention_cached(piece, cache, runs, shape_, *piece_out);
    EXPECT_TRUE(piece_out.check());
    for (int64_t i = 0; i < n; ++i) {
      Tensor row = out.rows(rows[i], rows[i] + 1);
      ops().copy((*piece_out).rows(i, i + 1), row);
    }
  }

  void check(DType act, DType cache_dtype) {
    constexpr int64_t N = 16;
    const TokenRuns whole = runs_of({{9, 0, 0}, {1, 0, 0}, {6, 0, 0}});
    // Numbers that bf16 holds exactly, so that a bf16 cache loses nothing.
    const Tensor qkv = converted(random_normal({N, shape_.qkv_dim()}, DType::kBf16, 5), act);
    Tensor expected({N, shape_.q_dim()}, act);
    Tensor lse;
    ops().attention(qkv, whole, shape_, expected, lse);

    GuardedTensor k({4, kCapacity, shape_.kv_dim()}, cache_dtype);
    GuardedTensor v({4, kCapacity, shape_.kv_dim()}, cache_dtype);
    KvCache cache{.k = *k, .v = *v};
    GuardedTensor out({N, shape_.q_dim()}, act);
    const auto part = [](int s, int32_t position, int32_t length) {
      return std::pair<int, Segment>{s, {length, position, kSlots[s]}};
    };
    feed(qkv, {part(0, 0, 4)}, cache, *out);                                // prefill a chunk
    feed(qkv, {part(2, 0, 1), part(0, 4, 3), part(1, 0, 1)}, cache, *out);  // and mix
    feed(qkv, {part(2, 1, 0), part(2, 1, 2)}, cache, *out);                 // nothing is allowed
    feed(qkv, {part(0, 7, 1), part(2, 3, 1)}, cache, *out);                 // decode two at once
    feed(qkv, {part(2, 4, 1), part(0, 8, 1)}, cache, *out);
    feed(qkv, {part(2, 5, 1)}, cache, *out);
    EXPECT_TRUE(same_bits(*out, expected));
    EXPECT_TRUE(k.check());
    EXPECT_TRUE(v.check());
    EXPECT_TRUE(out.check());

    // Slot 1, and what lies beyond each sequence, still is as it was made.
    const std::vector<double> rows = test::to_doubles(*k);
    for (int64_t slot = 0; slot < 4; ++slot) {
      const auto* s = std::find(std::begin(kSlots), std::end(kSlots), slot);
      const int64_t length = s == std::end(kSlots) ? 0 : kLengths[s - kSlots];
      for (int64_t p = 0; p < kCapacity; ++p) {
        const double element = rows[static_cast<size_t>((slot * kCapacity + p) * shape_.kv_dim())];
        EXPECT_EQ(std::isnan(element), p >= length) << "slot " << slot << " position " << p;
      }
    }
  }
};

TEST_P(CachedAttention, InPiecesEqualsTheWholeBitForBit) {
  for (const DType act : {DType::kF64, DType::kF32, DType::kBf16}) {
    for (const DType cache_dtype : {act, DType::kBf16}) {
      SCOPED_TRACE(fmt::format("act {} cache {}", name_of(act), name_of(cache_dtype)));
      check(act, cache_dtype);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Windows, CachedAttention, ::testing::Values(-1, 0, 2, 5, 100));

TEST(ReferenceAttention, ACacheOfBf16RoundsKeysAndValues) {
  const AttentionShape shape{.n_head = 1, .n_kv_head = 1, .head_dim = 1, .scale = 1};
  const Tensor qkv =
      converted(tensor_of<double>(std::vector<double>{1, 1 + 0x1p-10, 1 + 0x1p-7 + 0x1p-9}, {1, 3}),
                DType::kF32);
  GuardedTensor k({1, 1, 1}, DType::kBf16);
  GuardedTensor v({1, 1, 1}, DType::kBf16);
  KvCache cache{.k = *k, .v = *v};
  GuardedTensor out({1, 1}, DType::kF32);
  ops().kv_cache_append(qkv, TokenRuns::uniform(1, 1), shape, cache);
  ops().attention_cached(qkv, cache, TokenRuns::uniform(1, 1), shape, *out);
  EXPECT_EQ(test::to_doubles(*k), (std::vector<double>{1}));
  EXPECT_EQ(test::to_doubles(*out), (std::vector<double>{1 + 0x1p-7}));
}

}  // namespace
}  // namespace nanochat
