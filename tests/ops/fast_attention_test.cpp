#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/parallel.h"
#include "ops/backend.h"
#include "ops/cpu/attention.h"
#include "ops/cpu/isa.h"
#include "ops/op_case.h"
#include "support/compare.h"
#include "support/guarded.h"
#include "support/random.h"

namespace nanochat {
namespace {

using test::GuardedTensor;
using test::Tolerance;

struct Case {
  std::vector<int32_t> lengths;
  int64_t H, Hkv, D;
  int64_t window = -1;
  double std = 1;  // of q, k and v

  [[nodiscard]] AttentionShape shape() const {
    return {.n_head = H,
            .n_kv_head = Hkv,
            .head_dim = D,
            .window = window,
            .scale = 1 / std::sqrt(static_cast<float>(D))};
  }
  [[nodiscard]] TokenRuns runs() const {
    std::vector<Run> list;
    int32_t row = 0;
    for (const int32_t length : lengths) {
      list.push_back({row, length, 3, static_cast<int32_t>(list.size())});
      row += length;
    }
    return {list, row};
  }
  [[nodiscard]] std::string name() const {
    return fmt::format("lengths=[{}] H={} Hkv={} D={} window={} std={}", fmt::join(lengths, ","), H,
                       Hkv, D, window, std);
  }
};

// Either side of a vector (4, 8, 16), of a row group (6), of a tile (96 queries, 192 keys in
// backward, 512 in forward); pairs of bf16 that end in the middle.
std::vector<Case> awkward_cases() {
  std::vector<Case> cases;
  for (const int64_t D : {1, 2, 15, 16, 17, 33, 64, 65, 128, 130}) {
    cases.push_back({{0, 1, 2, 17, 0, 7}, 2, 1, D});
  }
  // The head sizes of tensor cores, on either side of their tiles of 64 and 128 rows.
  for (const int64_t D : {64, 128}) {
    cases.push_back({{1, 63, 64, 65, 127, 128, 129}, 2, 1, D});
    for (const int64_t window : {0, 31, 64, 100}) cases.push_back({{200, 33}, 4, 2, D, window});
  }
  cases.push_back({{5, 6, 95, 96, 97}, 3, 3, 20});
  cases.push_back({{191, 192, 193, 1}, 6, 2, 16});
  for (const int64_t window : {0, 1, 5, 15, 16, 63, 96, 150, 10000}) {
    cases.push_back({{3, 150, 1}, 2, 1, 24, window});
    cases.push_back({{260}, 1, 1, 7, window});
  }
  for (const int64_t window : {-1, 0, 40, 511, 600}) cases.push_back({{1100}, 1, 1, 8, window});
  // Logits of up to a few hundred: the running maximum matters.
  cases.push_back({{40, 700}, 1, 1, 16, -1, 9});
  return cases;
}

class FastAttentionTest : public ::testing::TestWithParam<std::tuple<const char*, DType>> {
 protected:
  using Run = nanochat::Run;  // ::testing::Test has a member of that name

  void SetUp() override {
    backend_ = test::backend_for(name());
    if (!backend_) GTEST_SKIP() << "this machine has no " << name();
  }
  [[nodiscard]] std::string name() const { return std::get<0>(GetParam()); }
  Backend& backend() { return *backend_; }
  [[nodiscard]] DType dtype() const { return std::get<1>(GetParam()); }

  /// f32: a logit is a sum of D terms, a result one of T. bf16: P or dS and the result are rounded
  /// once each, by u at most, P and dS before a sum whose terms are no larger than the result's
  /// largest; twice that is allowed.
  [[nodiscard]] Tolerance tolerance(const Case& c) const {
    if (dtype() == DType::kBf16) return {1e-6, 4 * test::unit_roundoff(DType::kBf16)};
    const int64_t T = *std::max_element(c.lengths.begin(), c.lengths.end());
    // Errors of the logits are relative to the largest logit, about 4 std^2.
    Tolerance t = test::sum_tolerance(DType::kF32, c.D + T);
    t.abs += 1e-6;
    t.rel_of_max *= 1 + c.std * c.std;
    return t;
  }
  /// Root mean square: roundings are random, so two of them stay below u.
  void expect_near(const Tensor& actual, const Tensor& expected, const Case& c) const {
    test::expect_close(actual, expected, tolerance(c));
    if (dtype() == DType::kBf16 && actual.numel() > 0) {
      EXPECT_LE(test::frobenius(actual, expected), 1.2 * test::unit_roundoff(DType::kBf16));
    }
  }

 private:
  std::unique_ptr<Backend> backend_;
};

TokenRuns one_run(const Run& run) { return {std::span(&run, 1), run.length}; }

/// The reference's answers in double for the same (already rounded) numbers.
struct Expected {
  Tensor out, lse;
};
Expected reference_forward(const Tensor& qkv, const TokenRuns& runs, const AttentionShape& shape) {
  const Tensor wide = test::converted(qkv, DType::kF64);
  Expected e{Tensor({qkv.dim(0), shape.q_dim()}, DType::kF64),
             Tensor({qkv.dim(0), shape.n_head}, DType::kF64)};
  reference_backend().attention(wide, runs, shape, e.out, e.lse);
  return e;
}

TEST_P(FastAttentionTest, ForwardAgreesWithReferenceOnAwkwardShapes) {
  uint64_t seed = 1;
  for (const Case& c : awkward_cases()) {
    SCOPED_TRACE(fmt::format("{} seed={}", c.name(), seed));
    const TokenRuns runs = c.runs();
    const AttentionShape shape = c.shape();
    const GuardedTensor qkv(
        test::random_normal({runs.n_tokens(), shape.qkv_dim()}, dtype(), seed++, c.std));
    GuardedTensor out({runs.n_tokens(), shape.q_dim()}, dtype());
    GuardedTensor lse({runs.n_tokens(), c.H}, DType::kF32);
    backend().attention(*qkv, runs, shape, *out, *lse);
    EXPECT_TRUE(out.check());
    EXPECT_TRUE(lse.check());

    const Expected expected = reference_forward(*qkv, runs, shape);
    expect_near(*out, expected.out, c);
    // Sums stay in f32 whatever the dtype of q and k.
    Tolerance t = test::sum_tolerance(DType::kF32, c.D + 1);
    t.abs += 1e-6 * (1 + c.std * c.std);
    test::expect_close(*lse, expected.lse, t);

    GuardedTensor again({runs.n_tokens(), shape.q_dim()}, dtype());
    Tensor none;
    backend().attention(*qkv, runs, shape, *again, none);
    EXPECT_TRUE(test::same_bits(*again, *out));
  }
}

TEST_P(FastAttentionTest, BackwardAgreesWithReferenceOnAwkwardShapes) {
  uint64_t seed = 100;
  for (const Case& c : awkward_cases()) {
    SCOPED_TRACE(fmt::format("{} seed={}", c.name(), seed));
    const TokenRuns runs = c.runs();
    const AttentionShape shape = c.shape();
    const int64_t N = runs.n_tokens();
    const GuardedTensor qkv(test::random_normal({N, shape.qkv_dim()}, dtype(), seed++, c.std));
    const GuardedTensor dout(test::random_normal({N, shape.q_dim()}, dtype(), seed++));
    GuardedTensor out({N, shape.q_dim()}, dtype());
    GuardedTensor lse({N, c.H}, DType::kF32);
    backend().attention(*qkv, runs, shape, *out, *lse);
    GuardedTensor dqkv({N, shape.qkv_dim()}, dtype());
    backend().attention_backward(*dout, *qkv, *out, *lse, runs, shape, *dqkv);
    EXPECT_TRUE(dqkv.check());

    Tensor expected({N, shape.qkv_dim()}, DType::kF64);
    reference_backend().attention_backward(
        test::converted(*dout, DType::kF64), test::converted(*qkv, DType::kF64),
        test::converted(*out, DType::kF64), test::converted(*lse, DType::kF64), runs, shape,
        expected);
    // Gradients sum over the queries of every head of a group, too.
    expect_near(*dqkv, expected, c);

    GuardedTensor again({N, shape.qkv_dim()}, dtype());
    backend().attention_backward(*dout, *qkv, *out, *lse, runs, shape, *again);
    EXPECT_TRUE(test::same_bits(*again, *dqkv));
  }
}

TEST_P(FastAttentionTest, FewRunsOnManyThreadsAreCutIntoParts) {
  const int threads = num_threads();
  const Case c{{401, 30}, 4, 2, 12, 250};
  const TokenRuns runs = c.runs();
  const AttentionShape shape = c.shape();
  const int64_t N = runs.n_tokens();
  const Tensor qkv = test::random_normal({N, shape.qkv_dim()}, dtype(), 7);
  const Tensor dout = test::random_normal({N, shape.q_dim()}, dtype(), 8);
  const auto run = [&](int n, GuardedTensor& out, GuardedTensor& lse, GuardedTensor& dqkv) {
    set_num_threads(n);
    backend().attention(qkv, runs, shape, *out, *lse);
    backend().attention_backward(dout, qkv, *out, *lse, runs, shape, *dqkv);
    set_num_threads(threads);
    EXPECT_TRUE(dqkv.check());
  };
  GuardedTensor out1({N, shape.q_dim()}, dtype()), out5({N, shape.q_dim()}, dtype());
  GuardedTensor lse1({N, c.H}, DType::kF32), lse5({N, c.H}, DType::kF32);
  GuardedTensor dqkv1({N, shape.qkv_dim()}, dtype()), dqkv5({N, shape.qkv_dim()}, dtype());
  GuardedTensor again({N, shape.qkv_dim()}, dtype());
  run(1, out1, lse1, dqkv1);
  run(5, out5, lse5, dqkv5);
  run(5, out5, lse5, again);
  EXPECT_TRUE(test::same_bits(*out5, *out1));
  EXPECT_TRUE(test::same_bits(*lse5, *lse1));
  EXPECT_TRUE(test::same_bits(*again, *dqkv5));
  // Only the order of f32 sums differs; the results round to neighbours.
  test::expect_close(*dqkv5, *dqkv1, test::sum_tolerance(dtype(), 401));
}

TEST_P(FastAttentionTest, ForwardGivesTheSameBitsHoweverRowsAreCut) {
  if (name() == "cuda") GTEST_SKIP() << "about the cpu backend's kernels";
  const cpu::AttentionKernels& kernels = cpu::attention_kernels(cpu::parse_isa(name()));
  for (const int64_t window : {-1, 0, 77, 600}) {
    SCOPED_TRACE(fmt::format("window={}", window));
    const Case c{{1000}, 2, 1, 18, window};
    const TokenRuns runs = c.runs();
    const AttentionShape shape = c.shape();
    const Tensor qkv = test::random_normal({1000, shape.qkv_dim()}, dtype(), 21);
    GuardedTensor whole({1000, shape.q_dim()}, dtype()), cut({1000, shape.q_dim()}, dtype());
    GuardedTensor lse({1000, c.H}, DType::kF32), cut_lse({1000, c.H}, DType::kF32);
    const int threads = num_threads();
    set_num_threads(1);
    backend().attention(qkv, runs, shape, *whole, *lse);
    set_num_threads(threads);

    const auto types =
        dtype() == DType::kBf16 ? cpu::AttentionTypes::kBf16 : cpu::AttentionTypes::kF32;
    const auto at = [&](const Tensor& x, int64_t i) {
      return static_cast<const char*>(x.raw()) + i * size_of(dtype());
    };
    int64_t begin = 0;
    for (const int64_t end : {1, 13, 14, 111, 513, 520, 999, 1000}) {
      const Tensor scratch({kernels.forward_scratch_bytes(types, c.D, end)}, DType::kU8);
      cpu::AttentionForwardItem item;
      item.q = at(qkv, 0);
      item.k = at(qkv, shape.q_dim());
      item.v = at(qkv, shape.q_dim() + shape.kv_dim());
      item.q_stride = item.kv_stride = shape.qkv_dim();
      item.out = cut.tensor().raw();
      item.out_stride = shape.q_dim();
      item.lse = cut_lse.tensor().data<float>();
      item.lse_stride = c.H;
      item.query_begin = begin;
      item.query_end = end;
      item.head_dim = c.D;
      item.group = 2;
      item.window = window;
      item.scale = shape.scale;
      item.scratch = const_cast<void*>(scratch.raw());
      kernels.forward(types, item);
      begin = end;
    }
    EXPECT_TRUE(cut.check());
    EXPECT_TRUE(test::same_bits(*cut, *whole));
    EXPECT_TRUE(test::same_bits(*cut_lse, *lse));
  }
}

// ---- with a cache
// --------------------------------------------------------------------------------

/// A cache that is NaN wherever nobody wrote.
struct GuardedCache {
  GuardedCache(int64_t n_slots, int64_t capacity, int64_t kv_dim, DType dtype)
      : k({n_slots, capacity, kv_dim}, dtype), v({n_slots, capacity, kv_dim}, dtype) {}
  [[nodiscard]] KvCache view() { return {*k, *v}; }
  GuardedTensor k, v;
};

TEST_P(FastAttentionTest, CachedAgreesWithReferenceForDecodingAndPrefill) {
  uint64_t seed = 300;
  for (const DType cache_dtype : {dtype(), DType::kBf16}) {
    for (const int64_t window : {-1, 0, 9, 64, 1000}) {
      for (const auto& [H, Hkv, D] :
           std::vector<std::tuple<int64_t, int64_t, int64_t>>{{3, 3, 128}, {6, 2, 17}, {2, 1, 1}}) {
        const Case c{{64}, H, Hkv, D, window};
        const AttentionShape shape = c.shape();
        SCOPED_TRACE(fmt::format("{} cache={} seed={}", c.name(), name_of(cache_dtype), seed));
        GuardedCache cache(4, 80, shape.kv_dim(), cache_dtype);
        GuardedCache expected_cache(4, 80, shape.kv_dim(), cache_dtype);
        KvCache kv = cache.view();
        KvCache expected_kv = expected_cache.view();
        // Slots at different positions; then prefill, decoding, nothing, and a few rows at once.
        const std::vector<std::vector<Run>> batches = {
            {{0, 33, 0, 2}, {33, 1, 0, 0}, {34, 0, 0, 3}, {34, 8, 0, 1}},
            {{0, 1, 33, 2}, {1, 7, 1, 0}, {8, 20, 0, 3}, {28, 64, 8, 1}},
            {{0, 1, 34, 2}, {1, 1, 8, 0}, {2, 1, 20, 3}, {3, 1, 72, 1}}};
        for (const std::vector<Run>& batch : batches) {
          const int64_t N = batch.back().row_begin + batch.back().length;
          const TokenRuns runs(batch, N);
          const GuardedTensor qkv(test::random_normal({N, shape.qkv_dim()}, dtype(), seed++));
          backend().kv_cache_append(*qkv, runs, shape, kv);
          reference_backend().kv_cache_append(*qkv, runs, shape, expected_kv);
          EXPECT_TRUE(test::same_bits(kv.k, expected_kv.k));
          EXPECT_TRUE(test::same_bits(kv.v, expected_kv.v));
          EXPECT_TRUE(cache.k.check());
          EXPECT_TRUE(cache.v.check());

          GuardedTensor out({N, shape.q_dim()}, dtype());
          backend().attention_cached(*qkv, kv, runs, shape, *out);
          EXPECT_TRUE(out.check());
          Tensor expected({N, shape.q_dim()}, DType::kF64);
          const KvCache wide{test::converted(kv.k, DType::kF64),
                             test::converted(kv.v, DType::kF64)};
          reference_backend().attention_cached(test::converted(*qkv, DType::kF64), wide, runs,
                                               shape, expected);
          expect_near(*out, expected, c);
        }
      }
    }
  }
}

TEST_P(FastAttentionTest, CachedRunsDoNotFeelTheirNeighbours) {
  const Case c{{}, 4, 2, 48, 70};
  const AttentionShape shape = c.shape();
  const std::vector<Run> all = {{0, 1, 50, 0}, {1, 9, 11, 2}, {10, 3, 0, 1}, {13, 100, 0, 3}};
  const TokenRuns runs(all, 113);
  const Tensor qkv = test::random_normal({113, shape.qkv_dim()}, dtype(), 5);
  KvCache cache{test::random_normal({4, 120, shape.kv_dim()}, dtype(), 6),
                test::random_normal({4, 120, shape.kv_dim()}, dtype(), 7)};
  backend().kv_cache_append(qkv, runs, shape, cache);
  Tensor together({113, shape.q_dim()}, dtype());
  backend().attention_cached(qkv, cache, runs, shape, together);
  for (const Run& run : all) {
    const Run alone{0, run.length, run.position, run.slot};
    const Tensor rows = qkv.rows(run.row_begin, run.row_begin + run.length);
    Tensor out({run.length, shape.q_dim()}, dtype());
    backend().attention_cached(rows, cache, one_run(alone), shape, out);
    EXPECT_TRUE(test::same_bits(out, together.rows(run.row_begin, run.row_begin + run.length)));
  }
}

TEST_P(FastAttentionTest, HoweverAPromptIsCutItsRowsHaveTheSameBits) {
  for (const int64_t window : {-1, 50}) {
    const Case c{{}, 4, 2, 40, window};
    const AttentionShape shape = c.shape();
    const Tensor qkv = test::random_normal({300, shape.qkv_dim()}, dtype(), 9);
    KvCache cache{zeros({1, 304, shape.kv_dim()}, dtype()),
                  zeros({1, 304, shape.kv_dim()}, dtype())};
    const TokenRuns whole = one_run({0, 300, 0, 0});
    backend().kv_cache_append(qkv, whole, shape, cache);
    Tensor expected({300, shape.q_dim()}, dtype());
    backend().attention_cached(qkv, cache, whole, shape, expected);
    int32_t begin = 0;
    for (const int32_t end : {1, 2, 5, 17, 32, 33, 140, 300}) {
      const Run run{0, end - begin, begin, 0};
      Tensor out({end - begin, shape.q_dim()}, dtype());
      backend().attention_cached(qkv.rows(begin, end), cache, one_run(run), shape, out);
      EXPECT_TRUE(test::same_bits(out, expected.rows(begin, end))) << begin << " to " << end;
      begin = end;
    }
  }
}

TEST_P(FastAttentionTest, ARingHoldsWhatAWindowSees) {
  const Case c{{}, 4, 2, 24, 20};
  const AttentionShape shape = c.shape();
  const Tensor qkv = test::random_normal({200, shape.qkv_dim()}, dtype(), 11);
  // window + kCacheMultiple + the longest run, in multiples.
  KvCache ring{zeros({2, 64, shape.kv_dim()}, dtype()), zeros({2, 64, shape.kv_dim()}, dtype())};
  KvCache whole{zeros({2, 200, shape.kv_dim()}, dtype()), zeros({2, 200, shape.kv_dim()}, dtype())};
  int32_t begin = 0;
  for (const int32_t length : {25, 1, 1, 20, 3, 25, 25, 1, 24, 25, 25, 25}) {
    const TokenRuns runs = one_run({0, length, begin, 1});
    const Tensor rows = qkv.rows(begin, begin + length);
    Tensor out({length, shape.q_dim()}, dtype()), expected = out.clone(), reference = out.clone();
    backend().kv_cache_append(rows, runs, shape, ring);
    backend().kv_cache_append(rows, runs, shape, whole);
    backend().attention_cached(rows, ring, runs, shape, out);
    backend().attention_cached(rows, whole, runs, shape, expected);
    EXPECT_TRUE(test::same_bits(out, expected)) << "at " << begin;
    reference_backend().attention_cached(rows, ring, runs, shape, reference);
    reference_backend().attention_cached(rows, whole, runs, shape, expected);
    EXPECT_TRUE(test::same_bits(reference, expected)) << "reference at " << begin;
    begin += length;
  }
  ASSERT_EQ(begin, 200);
}

TEST_P(FastAttentionTest, WorkspaceStopsGrowingAfterTheFirstCall) {
  const Case c{{100, 40}, 2, 1, 64};
  const TokenRuns runs = c.runs();
  const AttentionShape shape = c.shape();
  const Tensor qkv = test::random_normal({140, shape.qkv_dim()}, dtype(), 3);
  Tensor out({140, shape.q_dim()}, dtype());
  Tensor lse({140, c.H}, DType::kF32);
  Tensor dqkv({140, shape.qkv_dim()}, dtype());
  const auto step = [&] {
    backend().attention(qkv, runs, shape, out, lse);
    backend().attention_backward(out, qkv, out, lse, runs, shape, dqkv);
  };
  step();
  const int64_t size = backend().workspace_bytes();
  EXPECT_GT(size, 0);
  step();
  EXPECT_EQ(backend().workspace_bytes(), size);
}

INSTANTIATE_TEST_SUITE_P(Every, FastAttentionTest,
                         ::testing::Combine(::testing::ValuesIn(test::kFastBackends),
                                            ::testing::Values(DType::kF32, DType::kBf16)),
                         [](const auto& p) {
                           return fmt::format("{}_{}", std::get<0>(p.param),
                                              name_of(std::get<1>(p.param)));
                         });

}  // namespace
}  // namespace nanochat
