/// One operation on given tensors, and everything that a fast backend must get right about it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/parallel.h"
#include "ops/devices.h"
#include "support/compare.h"
#include "support/guarded.h"
#include "support/host_calls.h"
#include "support/random.h"

namespace nanochat::test {

/// The fast backends, by name; in a build with CUDA it is one of them.
inline constexpr const char* kFastBackends[] = {
    "avx512_bf16",
    "avx2",
    "portable",
#ifdef NC_TEST_CUDA
    "cuda",
#endif
};

/// The cpu backend for an instruction set or the GPU's for "cuda", taking tensors on the host; or
/// nothing where this machine lacks it.
inline std::unique_ptr<Backend> backend_for(const std::string& name) {
  try {
    return name == "cuda" ? make_host_calls(cuda_backend()) : make_cpu_backend(name);
  } catch (const DeviceError&) {
    return nullptr;
  }
}

struct OpCase {
  struct Output {
    Tensor initial = {};      ///< what an updated tensor starts as
    bool is_updated = false;  ///< else only shape and dtype of `initial` count: it starts as NaN
    Tolerance tolerance = {};
  };
  using Tensors = std::vector<Tensor>;

  std::string name;
  Tensors in = {};
  std::vector<Output> out;
  std::function<void(Backend&, const Tensors& in, Tensors& out)> run;
  std::vector<std::pair<int, int>> aliases = {};  ///< out[first] may be in[second]
  bool any_thread_count = true;                   ///< the same bits whatever num_threads()
  std::vector<int> thread_counts = {1, 3};        ///< tried besides the machine's own
};

/// Restores the thread count when a test ends.
class ThreadCount {
 public:
  explicit ThreadCount(int n) : before_(num_threads()) { set_num_threads(n); }
  ~ThreadCount() { set_num_threads(before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

namespace internal {

/// Runs the case with fences around every tensor. alias: the output and input that share one, or
/// null. Returns the outputs.
inline std::vector<Tensor> run_guarded(const OpCase& c, Backend& backend,
                                       const std::pair<int, int>* alias) {
  std::vector<std::unique_ptr<GuardedTensor>> guards;
  const auto guard = [&guards](auto&&... arguments) -> Tensor {
    guards.push_back(std::make_unique<GuardedTensor>(arguments...));
    return **guards.back();
  };
  std::vector<Tensor> in, out;
  for (const Tensor& x : c.in) in.push_back(x ? guard(x) : Tensor());
  for (size_t i = 0; i < c.out.size(); ++i) {
    const OpCase::Output& output = c.out[i];
    if (alias && static_cast<size_t>(alias->first) == i) {
      out.push_back(in[static_cast<size_t>(alias->second)]);
    } else if (output.is_updated) {
      out.push_back(guard(output.initial));
    } else {
      out.push_back(guard(output.initial.shape(), output.initial.dtype()));
    }
  }
  c.run(backend, in, out);
  backend.synchronize();
  for (const auto& g : guards) EXPECT_TRUE(g->check());
  for (size_t i = 0; i < in.size(); ++i) {
    if (!in[i] || (alias && static_cast<size_t>(alias->second) == i)) continue;
    EXPECT_TRUE(same_bits(in[i], c.in[i])) << "input " << i << " was changed";
  }
  std::vector<Tensor> results;
  for (const Tensor& y : out) results.push_back(y.clone());
  return results;
}

inline void expect_same_bits(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(same_bits(a[i], b[i])) << "output " << i;
}

}  // namespace internal

/// Expects that `backend` agrees with the reference, stays inside its tensors, leaves its inputs
/// alone, repeats itself to the bit, does not care for the number of threads where that is
/// promised, and gives the same bits in place.
inline void check_op(const OpCase& c, Backend& backend) {
  SCOPED_TRACE(c.name);
  const std::vector<Tensor> expected = internal::run_guarded(c, reference_backend(), nullptr);
  const std::vector<Tensor> actual = internal::run_guarded(c, backend, nullptr);
  for (size_t i = 0; i < c.out.size(); ++i) {
    EXPECT_TRUE(is_close(actual[i], expected[i], c.out[i].tolerance)) << "output " << i;
  }
  internal::expect_same_bits(internal::run_guarded(c, backend, nullptr), actual);
  for (const auto& alias : c.aliases) {
    SCOPED_TRACE(fmt::format("out {} is in {}", alias.first, alias.second));
    internal::expect_same_bits(internal::run_guarded(c, backend, &alias), actual);
  }
  for (const int threads : c.thread_counts) {
    SCOPED_TRACE(fmt::format("{} threads", threads));
    const ThreadCount count(threads);
    const std::vector<Tensor> other = internal::run_guarded(c, backend, nullptr);
    for (size_t i = 0; i < c.out.size(); ++i) {
      if (c.any_thread_count) {
        EXPECT_TRUE(same_bits(other[i], actual[i])) << "output " << i;
      } else {
        EXPECT_TRUE(is_close(other[i], expected[i], c.out[i].tolerance)) << "output " << i;
      }
    }
  }
}

/// A few roundings of f32 arithmetic and one of the result. In bf16 two results on either side of a
/// tie differ by one unit in the last place, 2^-7 of the number at most.
inline Tolerance element_tolerance(DType dtype, double f32_roundings = 8) {
  const double f32 = f32_roundings * unit_roundoff(DType::kF32);
  return {.abs = 1e-37, .rel_of_max = f32 + (dtype == DType::kBf16 ? 0x1p-7 : 0)};
}

}  // namespace nanochat::test
