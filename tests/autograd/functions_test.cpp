#include "autograd/functions.h"

#include <gtest/gtest.h>

#include "support/compare.h"
#include "support/random.h"

namespace nanochat {
namespace {

using test::random_ids;
using test::random_normal;
using test::same_bits;

Tape make_tape() { return {reference_backend(), host_allocator()}; }

template <typename E, typename F>
void expect_error(F&& f, const std::string& part) {
  try {
    f();
    ADD_FAILURE() << "nothing thrown; expected: " << part;
  } catch (const E& e) {
    EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
  }
}

TEST(FunctionsTest, ShapesThatDoNotFitAreNamed) {
  Tape t = make_tape();
  const Var x{zeros({2, 3}, DType::kF32)};
  const Weight w{zeros({4, 5}, DType::kF32), {}};
  expect_error<ShapeError>([&] { return linear(t, x, w); },
                           "linear: x is [2, 3], w is [4, 5]: the last dimensions must match");
  expect_error<ShapeError>(
      [&] {
        return linear(t, x, {zeros({4, 3}, DType::kF32), zeros({4, 2}, DType::kF32)});
      },
      "w's gradient is [4, 2], expected [4, 3]");
  expect_error<ShapeError>(
      [&] {
        return linear(t, x, {zeros({4, 3}, DType::kBf16), {}});
      },
      "w is bf16, expected f32");
  expect_error<ShapeError>(
      [&] {
        return add(t, x, Var{zeros({3, 2}, DType::kF32)});
      },
      "[2, 3] and [3, 2]");
  expect_error<ShapeError>([&] { return rms_norm(t, Var{zeros({3}, DType::kF32)}, 1e-6F); },
                           "expected two extents");
}

TEST(FunctionsTest, IdsOutsideTheVocabularyAreNamed) {
  Tape t = make_tape();
  const Parameter wte{.name = "wte", .value = zeros({10, 4}, DType::kF32)};
  const Tensor ids = tensor_of<int32_t>(std::array{1, 10}, {2});
  expect_error<DataError>([&] { return embedding(t, wte, ids, DType::kF32); }, "ids[1] is 10");
  const Tensor negative = tensor_of<int32_t>(std::array{-1}, {1});
  expect_error<DataError>([&] { return embedding(t, wte, negative, DType::kF32); }, "ids[0] is -1");
  const Var x{zeros({2, 4}, DType::kF32)};
  expect_error<DataError>(
      [&] {
        return softcap_cross_entropy(t, x, {wte.value, {}}, ids, zeros({2}, DType::kF32),
                                     {.vocab_size = 10});
      },
      "targets[1] is 10");
}

TEST(FunctionsTest, AttentionRefusesWhatItCannotServe) {
  Tape t = make_tape();
  const TokenRuns runs = TokenRuns::uniform(1, 6);
  const AttentionShape shape{.n_head = 2, .n_kv_head = 1, .head_dim = 4, .scale = 0.5F};
  const Var qkv{zeros({6, 16}, DType::kF32)};
  const Tensor table = zeros({5, 2}, DType::kF32);
  expect_error<ShapeError>(
      [&] { return rope_qk_norm(t, qkv, runs, shape, table, table, 1, 1e-6F); },
      "position 5 is beyond the rotary table's 5");
  expect_error<ShapeError>(
      [&] {
        return attention(t, Var{zeros({6, 15}, DType::kF32)}, runs, shape);
      },
      "qkv is [6, 15], expected [6, 16]");
  AttentionShape uneven = shape;
  uneven.n_head = 3;
  uneven.n_kv_head = 2;
  expect_error<ShapeError>([&] { return attention(t, qkv, runs, uneven); }, "3 query heads over 2");
  KvCache cache{zeros({1, 5, 4}, DType::kF32), zeros({1, 5, 4}, DType::kF32)};
  expect_error<ShapeError>([&] { return attention_cached(t, qkv, runs, shape, cache); },
                           "expected [slots, at least 6, 4]");
}

TEST(FunctionsTest, TokenRunsMustTileTheBatch) {
  const auto make = [](std::vector<nanochat::Run> runs, int64_t n) { return TokenRuns(runs, n); };
  expect_error<ShapeError>([&] { return make({{.row_begin = 0, .length = 3}}, 4); },
                           "cover 3 rows of a batch of 4");
  expect_error<ShapeError>([&] { return make({{.row_begin = 1, .length = 3}}, 4); }, "row 1");
  expect_error<ShapeError>([&] { return make({{.row_begin = 0, .length = 5}}, 4); }, "length 5");
  expect_error<ShapeError>([&] { return make({{.row_begin = 0, .length = 4, .position = -1}}, 4); },
                           "position -1");
  EXPECT_EQ(make({{.row_begin = 0, .length = 0}, {.row_begin = 0, .length = 4, .position = 7}}, 4)
                .end_position(),
            11);
}

// Rows enough for three blocks, so that whole and chunked loss cut the logits differently.
TEST(FunctionsTest, ChunkedLossEqualsWholeLossToTheBit) {
  const int64_t N = 2 * LossOptions::kLossBlockRows + 100, C = 8, V = 11;
  const Tensor x = random_normal({N, C}, DType::kF32, 1);
  const Tensor w = random_normal({V + 5, C}, DType::kF32, 2);
  const Tensor targets = random_ids(N, V, 3, 0.2);
  const Tensor weights = test::random_uniform({N}, DType::kF32, 4, 0, 1e-3);
  for (Backend* backend : {&reference_backend(), &cpu_backend()}) {
    SCOPED_TRACE(backend->name());
    const auto run = [&](int64_t chunk_rows) {
      Tape tape(*backend, host_allocator());
      const RecordingScope on(tape, true);
      const Var in = tape.variable(x);
      Weight head{w, zeros(w.shape(), DType::kF32)};
      const LossResult loss =
          softcap_cross_entropy(tape, in, head, targets, weights,
                                {.softcap = 3, .vocab_size = V, .chunk_rows = chunk_rows});
      tape.backward();
      return std::array{loss.total, loss.per_token, tape.take_grad(in.slot), head.grad};
    };
    const auto whole = run(0);
    for (const int64_t chunk : {int64_t{1}, LossOptions::kLossBlockRows, N - 1}) {
      const auto chunked = run(chunk);
      for (size_t i = 0; i < whole.size(); ++i) {
        EXPECT_TRUE(same_bits(chunked[i], whole[i])) << "chunk " << chunk << ", result " << i;
      }
    }
    EXPECT_TRUE(same_bits(whole[3].rows(V, V + 5), zeros({5, C}, DType::kF32)))
        << "padding rows get no gradient";
  }
}

TEST(FunctionsTest, LossWithEveryTargetIgnoredIsZeroAndSoAreItsGradients) {
  const int64_t N = 3, C = 4, V = 5;
  Tape tape = make_tape();
  const RecordingScope on(tape, true);
  const Var x = tape.variable(random_normal({N, C}, DType::kF32, 1));
  Weight head{random_normal({V, C}, DType::kF32, 2), zeros({V, C}, DType::kF32)};
  const Tensor targets = tensor_of<int32_t>(std::array{-1, -1, -1}, {N});
  const LossResult loss =
      softcap_cross_entropy(tape, x, head, targets, zeros({N}, DType::kF32), {.vocab_size = V});
  tape.backward();
  EXPECT_EQ(loss.total.data<double>()[0], 0);
  EXPECT_TRUE(same_bits(tape.take_grad(x.slot), zeros({N, C}, DType::kF32)));
  EXPECT_TRUE(same_bits(head.grad, zeros({V, C}, DType::kF32)));
}

TEST(FunctionsTest, AnEmptyBatchIsNotAnError) {
  Tape tape = make_tape();
  const RecordingScope on(tape, true);
  const Var x = tape.variable(zeros({0, 4}, DType::kF32));
  Weight head{random_normal({5, 4}, DType::kF32, 2), zeros({5, 4}, DType::kF32)};
  const LossResult loss = softcap_cross_entropy(tape, x, head, zeros({0}, DType::kI32),
                                                zeros({0}, DType::kF32), {.vocab_size = 5});
  tape.backward();
  EXPECT_EQ(loss.total.data<double>()[0], 0);
}

}  // namespace
}  // namespace nanochat
