#include "core/tensor.h"

#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

// The sanitizers' allocators abort on sizes that no machine has, instead of returning null.
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }
extern "C" const char* __tsan_default_options();
extern "C" const char* __tsan_default_options() { return "allocator_may_return_null=1"; }
// NOLINTEND(bugprone-reserved-identifier)

namespace nanochat {
namespace {

Tensor iota(Shape shape) {
  Tensor t(shape, DType::kI32);
  std::iota(t.data<int32_t>(), t.data<int32_t>() + t.numel(), 0);
  return t;
}

std::vector<int32_t> values_of(const Tensor& t) {
  const auto span = t.span<int32_t>();
  return {span.begin(), span.end()};
}

TEST(Shape, KnowsItsExtents) {
  const Shape shape{2, 3, 5};
  EXPECT_EQ(shape.rank(), 3);
  EXPECT_EQ(shape.numel(), 30);
  EXPECT_EQ(shape[0], 2);
  EXPECT_EQ(shape.dim(-1), 5);
  EXPECT_EQ(shape.dim(-3), 2);
  EXPECT_EQ(shape.to_string(), "[2, 3, 5]");
  EXPECT_EQ(fmt::format("{}", shape), "[2, 3, 5]");
  EXPECT_EQ(Shape{}.numel(), 1);
  EXPECT_EQ(Shape{}.to_string(), "[]");
  EXPECT_EQ((Shape{4, 0}).numel(), 0);
}

TEST(Shape, IsEqualWhenRankAndExtentsAre) {
  EXPECT_EQ((Shape{2, 3}), (Shape{2, 3}));
  EXPECT_NE((Shape{2, 3}), (Shape{3, 2}));
  EXPECT_NE((Shape{2}), (Shape{2, 1}));
  EXPECT_NE((Shape{0}), (Shape{}));
}

TEST(ShapeDeathTest, RefusesRankFiveAndNegativeExtents) {
  EXPECT_DEATH((Shape{1, 2, 3, 4, 5}), "rank 5");
  EXPECT_DEATH((Shape{1, -2}), "extent -2");
}

TEST(Tensor, CopiesShareTheBytesAndClonesDoNot) {
  Tensor a = iota({4});
  EXPECT_TRUE(a.unique());
  Tensor b = a;
  Tensor c = a.clone();
  EXPECT_FALSE(a.unique());
  EXPECT_TRUE(c.unique());
  b.data<int32_t>()[2] = 77;
  EXPECT_EQ(values_of(a), (std::vector<int32_t>{0, 1, 77, 3}));
  EXPECT_EQ(values_of(c), (std::vector<int32_t>{0, 1, 2, 3}));
  b = {};
  EXPECT_TRUE(a.unique());
}

TEST(Tensor, ViewsSliceTheRightElements) {
  const Tensor t = iota({4, 3});
  EXPECT_EQ(t.view({2, 6}).shape(), (Shape{2, 6}));
  EXPECT_EQ(t.view({2, 6}).raw(), t.raw());
  EXPECT_EQ(values_of(t.rows(1, 3)), (std::vector<int32_t>{3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(t.rows(1, 3).shape(), (Shape{2, 3}));
  EXPECT_EQ(values_of(t.rows(1, 3).rows(1, 2)), (std::vector<int32_t>{6, 7, 8}));
  EXPECT_EQ(t.rows(4, 4).shape(), (Shape{0, 3}));
  EXPECT_EQ(values_of(t.slice(5, {2, 2})), (std::vector<int32_t>{5, 6, 7, 8}));
  EXPECT_EQ(values_of(t.rows(2, 4).slice(1, {3})), (std::vector<int32_t>{7, 8, 9}));
  EXPECT_EQ(values_of(t.rows(1, 2).clone()), (std::vector<int32_t>{3, 4, 5}));
}

TEST(Tensor, AViewKeepsTheStorageAlive) {
  Tensor view;
  {
    const Tensor t = iota({4, 3});
    view = t.rows(3, 4);
    EXPECT_FALSE(t.unique());
  }
  EXPECT_TRUE(view.unique());
  EXPECT_EQ(values_of(view), (std::vector<int32_t>{9, 10, 11}));
}

TEST(Tensor, EmptyAndUndefinedTensorsAreHarmless) {
  const Tensor undefined;
  EXPECT_FALSE(undefined.defined());
  EXPECT_FALSE(undefined.unique());
  EXPECT_EQ(undefined.raw(), nullptr);
  const Tensor empty({0, 7}, DType::kF32);
  EXPECT_TRUE(empty.defined());
  EXPECT_EQ(empty.numel(), 0);
  EXPECT_EQ(empty.rows(0, 0).shape(), (Shape{0, 7}));
  EXPECT_EQ(empty.clone().shape(), (Shape{0, 7}));
  EXPECT_EQ(empty.view({7, 0}).numel(), 0);
  EXPECT_EQ(zeros({0}, DType::kF32).numel(), 0);
}

TEST(Tensor, ZerosAndTensorOfHoldWhatTheySay) {
  const Tensor z = zeros({3, 5}, DType::kF64);
  for (const double x : z.span<double>()) EXPECT_EQ(x, 0.0);
  const std::vector<float> values{1, 2, 3, 4};
  const Tensor t = tensor_of<float>(values, {2, 2});
  EXPECT_EQ(t.dtype(), DType::kF32);
  EXPECT_EQ(t.rows(1, 2).data<float>()[1], 4.0F);
}

TEST(TensorDeathTest, ViewsOutsideTheTensorAbort) {
  const Tensor t = iota({4, 3});
  EXPECT_DEATH(static_cast<void>(t.view({5})), "view of \\[4, 3\\] as \\[5\\]");
  EXPECT_DEATH(static_cast<void>(t.rows(2, 5)), "rows 2..5");
  EXPECT_DEATH(static_cast<void>(t.rows(3, 2)), "rows 3..2");
  EXPECT_DEATH(static_cast<void>(t.rows(-1, 2)), "rows -1..2");
  EXPECT_DEATH(static_cast<void>(t.slice(8, {5})), "slice \\[5\\] at 8");
  EXPECT_DEATH(static_cast<void>(t.slice(-1, {2})), "slice \\[2\\] at -1");
  // In bounds of the storage, but not of the view.
  EXPECT_DEATH(static_cast<void>(t.rows(0, 2).rows(0, 3)), "rows 0..3");
  EXPECT_DEATH(Tensor(t.storage(), 40, {3}, DType::kI32), "view of 12 bytes at 40 of 48");
}

TEST(HostAllocator, AlignsToCacheLinesAndToHugePages) {
  for (const int64_t size : {0, 1, 63, 64, 65, 100'000, 4 << 20, (4 << 20) + 1, 9'000'000}) {
    SCOPED_TRACE(size);
    const StoragePtr s = host_allocator().allocate(size);
    EXPECT_EQ(s->size_bytes(), size);
    const auto address = reinterpret_cast<uintptr_t>(s->data());
    EXPECT_EQ(address % (size >= (4 << 20) ? 2 << 20 : 64), 0U);
    std::memset(s->data(), 1, static_cast<size_t>(size));  // the sanitizers watch
  }
}

TEST(HostAllocator, ThrowsWhenThereIsNotThatMuch) {
  try {
    static_cast<void>(host_allocator().allocate(int64_t{1} << 60));
    FAIL() << "2^60 bytes were found";
  } catch (const OutOfMemoryError& e) {
    EXPECT_EQ(e.exit_code(), ExitCode::kOutOfMemory);
    EXPECT_NE(std::string(e.what()).find("1152921504606846976"), std::string::npos) << e.what();
  }
}

TEST(WrapMemory, DestroysKeepAliveWithTheLastReference) {
  std::vector<int32_t> owned{1, 2, 3};
  auto token = std::make_shared<int>(0);
  Tensor view;
  {
    const Tensor t(wrap_memory(owned.data(), 12, [token] {}), 0, {3}, DType::kI32);
    view = t.rows(1, 3);
    EXPECT_EQ(token.use_count(), 2);
  }
  EXPECT_EQ(token.use_count(), 2);
  EXPECT_EQ(values_of(view), (std::vector<int32_t>{2, 3}));
  view = {};
  EXPECT_EQ(token.use_count(), 1);
}

class CountingStorage final : public Storage {
 public:
  explicit CountingStorage(std::atomic<int>& releases) : releases_(releases) {}
  ~CountingStorage() override = default;

 private:
  void release() noexcept override { ++releases_; }
  std::atomic<int>& releases_;
};

TEST(StoragePtr, CountsCopiesMovesAndSelfAssignment) {
  std::atomic<int> releases{0};
  CountingStorage storage(releases);
  {
    StoragePtr a(&storage);
    StoragePtr b = a;
    StoragePtr c = std::move(a);
    EXPECT_FALSE(a);  // NOLINT(bugprone-use-after-move): moving empties it
    StoragePtr& same = c;
    c = same;
    EXPECT_EQ(c.get(), &storage);
    EXPECT_FALSE(c.unique());
    b = {};
    EXPECT_TRUE(c.unique());
    EXPECT_EQ(releases, 0);
  }
  EXPECT_EQ(releases, 1);
}

TEST(StoragePtr, CountsRightWhenThreadsCopyAtOnce) {
  std::atomic<int> releases{0};
  CountingStorage storage(releases);
  {
    const StoragePtr shared(&storage);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([shared] {
        for (int i = 0; i < 20'000; ++i) const StoragePtr copy = shared;
      });
    }
    for (std::thread& t : threads) t.join();
    EXPECT_TRUE(shared.unique());
    EXPECT_EQ(releases, 0);
  }
  EXPECT_EQ(releases, 1);
}

}  // namespace
}  // namespace nanochat
