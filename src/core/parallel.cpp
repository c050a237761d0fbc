#include "core/parallel.h"

#include <algorithm>
#include <atomic>

#ifdef NC_THREAD_SANITIZER
// ThreadSanitizer cannot see into libgomp's barriers; plain threads it understands.
#include <thread>
#include <vector>
#else
#include <omp.h>
#endif

namespace nanochat {

#ifdef NC_THREAD_SANITIZER
namespace {
int thread_count = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
thread_local bool inside = false;

template <typename F>
void on_each_thread(int n, F&& f) {
  std::vector<std::thread> threads;
  for (int t = 0; t < n; ++t) {
    threads.emplace_back([&f, t] {
      inside = true;
      f(t);
    });
  }
  for (std::thread& t : threads) t.join();
}
}  // namespace

int num_threads() noexcept { return thread_count; }
void set_num_threads(int n) noexcept { thread_count = std::max(n, 1); }
#else
namespace {
bool inside_parallel() noexcept { return omp_in_parallel() != 0; }
}  // namespace

int num_threads() noexcept { return omp_get_max_threads(); }
void set_num_threads(int n) noexcept { omp_set_num_threads(std::max(n, 1)); }
#endif

namespace internal {

void run_parallel(int64_t n, int64_t grain, void* context, RangeFunction f) noexcept {
  if (n <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  const int64_t grains = (n + grain - 1) / grain;
  const int threads = static_cast<int>(std::min<int64_t>(num_threads(), grains));
#ifdef NC_THREAD_SANITIZER
  const bool serial = threads <= 1 || inside;
#else
  const bool serial = threads <= 1 || inside_parallel();
#endif
  if (serial) {
    f(context, 0, n);
    return;
  }
  const auto part = [&](int thread) {
    const int64_t begin = grains * thread / threads * grain;
    const int64_t end = std::min(n, grains * (thread + 1) / threads * grain);
    if (begin < end) f(context, begin, end);
  };
#ifdef NC_THREAD_SANITIZER
  on_each_thread(threads, part);
#else
// OpenMP may give fewer threads than asked for (OMP_THREAD_LIMIT, OMP_DYNAMIC): the parts stay
// those of `threads`, so that the result does too.
#pragma omp parallel num_threads(threads)
  for (int t = omp_get_thread_num(); t < threads; t += omp_get_num_threads()) part(t);
#endif
}

void run_dynamic(int64_t n_items, void* context, ItemFunction f) noexcept {
  if (n_items <= 0) return;
  const int threads = static_cast<int>(std::min<int64_t>(num_threads(), n_items));
  std::atomic<int64_t> next{0};
  const auto work = [&](int thread) {
    for (int64_t i = next.fetch_add(1, std::memory_order_relaxed); i < n_items;
         i = next.fetch_add(1, std::memory_order_relaxed)) {
      f(context, i, thread);
    }
  };
#ifdef NC_THREAD_SANITIZER
  if (threads <= 1 || inside) {
    work(0);
  } else {
    on_each_thread(threads, work);
  }
#else
  if (threads <= 1 || inside_parallel()) {
    work(0);
    return;
  }
#pragma omp parallel num_threads(threads)
  work(omp_get_thread_num());
#endif
}

}  // namespace internal
}  // namespace nanochat
