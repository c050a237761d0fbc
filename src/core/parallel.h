/// Loops over all cores, cut the same way every time.
#pragma once

#include <cstdint>
#include <type_traits>

namespace nanochat {

/// Threads that parallel_for and the GEMM library use; at start the cores this process may run on
/// (or OMP_NUM_THREADS). Set it between steps, from the main thread: results may differ in the last
/// bit between thread counts, never between runs with one count.
[[nodiscard]] int num_threads() noexcept;
void set_num_threads(int n) noexcept;

namespace internal {
using RangeFunction = void (*)(void* context, int64_t begin, int64_t end);
void run_parallel(int64_t n, int64_t grain, void* context, RangeFunction f) noexcept;
using ItemFunction = void (*)(void* context, int64_t item, int thread);
void run_dynamic(int64_t n_items, void* context, ItemFunction f) noexcept;
}  // namespace internal

/// Calls f(begin, end) on disjoint ranges that cover [0, n), one contiguous range per thread, cut
/// at multiples of `grain`. Which range a thread gets depends on n, grain and num_threads() alone.
/// Allocates nothing; f must not throw. Called from inside a parallel_for it runs serially.
template <typename F>
void parallel_for(int64_t n, int64_t grain, F&& f) noexcept {
  internal::run_parallel(n, grain, &f, [](void* context, int64_t begin, int64_t end) {
    (*static_cast<std::remove_reference_t<F>*>(context))(begin, end);
  });
}

/// Calls f(item, thread) for every item of [0, n_items), each once, on whichever thread is free:
/// for items of unequal cost that write disjoint outputs. thread < num_threads() names the scratch
/// space a call may use; the result must not depend on it.
template <typename F>
void parallel_items(int64_t n_items, F&& f) noexcept {
  internal::run_dynamic(n_items, &f, [](void* context, int64_t item, int thread) {
    (*static_cast<std::remove_reference_t<F>*>(context))(item, thread);
  });
}

}  // namespace nanochat
