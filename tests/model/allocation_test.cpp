// A training step after the first allocates nothing: every allocation of the process is counted,
// with the library it comes from.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <map>
#include <new>
#include <string>

#include <dlfcn.h>
#include <gtest/gtest.h>

#include "core/arena.h"
#include "model/gpt.h"
#include "optim/classic.h"
#include "support/random.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NC_HOOKED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define NC_HOOKED 0
#endif
#endif
#if !defined(NC_HOOKED) && defined(__GLIBC__)
#define NC_HOOKED 1
#elif !defined(NC_HOOKED)
#define NC_HOOKED 0
#endif

#if NC_HOOKED
namespace {

std::atomic<bool> watching{false};
std::atomic<int64_t> allocations{0}, frees{0};
std::array<std::atomic<void*>, 1 << 16> callers;

void note(void* caller) noexcept {
  if (!watching.load(std::memory_order_relaxed)) return;
  const int64_t i = allocations.fetch_add(1);
  if (i < static_cast<int64_t>(callers.size())) callers[static_cast<size_t>(i)] = caller;
}

}  // namespace

extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);

void* malloc(size_t n) {
  note(__builtin_return_address(0));
  return __libc_malloc(n);
}
void* calloc(size_t n, size_t size) {
  note(__builtin_return_address(0));
  return __libc_calloc(n, size);
}
void* realloc(void* p, size_t n) {
  note(__builtin_return_address(0));
  return __libc_realloc(p, n);
}
void* aligned_alloc(size_t alignment, size_t n) {
  note(__builtin_return_address(0));
  return __libc_memalign(alignment, n);
}
void* memalign(size_t alignment, size_t n) {
  note(__builtin_return_address(0));
  return __libc_memalign(alignment, n);
}
int posix_memalign(void** p, size_t alignment, size_t n) {
  note(__builtin_return_address(0));
  *p = __libc_memalign(alignment, n);
  return *p ? 0 : 12;
}
void free(void* p) {
  if (p && watching.load(std::memory_order_relaxed)) ++frees;
  __libc_free(p);
}
}
// These too, so that the caller is the code with the `new` in it, not libstdc++.
void* operator new(size_t n) {
  note(__builtin_return_address(0));
  if (void* p = __libc_malloc(std::max<size_t>(n, 1))) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { free(p); }
void operator delete(void* p, size_t) noexcept { free(p); }
#endif

namespace nanochat {
namespace {

TEST(AllocationTest, ATrainingStepAfterTheFirstAllocatesNothing) {
#if !NC_HOOKED
  GTEST_SKIP() << "the sanitizer owns the allocator";
#else
  for (const DType dtype : {DType::kF32, DType::kBf16}) {
    for (const bool checkpointing : {false, true}) {
      SCOPED_TRACE(std::string(name_of(dtype)) + (checkpointing ? ", checkpointing" : ""));
      const GptConfig config = GptConfig::from_depth(2, 300, 32);
      Backend& backend = cpu_backend();
      Gpt model(config, backend, {.dtype = dtype, .activation_checkpointing = checkpointing});
      model.init_weights(1);
      ClassicOptimizer optimizer(backend, model.parameters(), {.n_embd = config.n_embd});
      const int64_t N = 3 * 32;
      Batch batch{test::random_ids(N, 300, 1), test::random_ids(N, 300, 2),
                  Tensor({N}, DType::kF32), TokenRuns::uniform(3, 32)};
      set_mean_weights(batch, 2);
      Arena arena;
      Tape tape(backend, arena);
      const auto step = [&](int64_t i) {
        model.zero_grad();
        for (int micro_batch = 0; micro_batch < 2; ++micro_batch) {
          const RecordingScope on(tape, true);
          static_cast<void>(model.loss(tape, batch));
          tape.backward();
          tape.clear();
        }
        optimizer.step(i, 1);
        model.refresh_compute_weights();
      };
      step(0);
      const int64_t extent = arena.extent_bytes();
      allocations = frees = 0;
      watching = true;
      step(1);
      step(2);
      watching = false;
      EXPECT_EQ(arena.extent_bytes(), extent);

      // oneDNN 2.6 builds an argument map inside dnnl_primitive_execute on every call and frees it
      // before it returns; nothing that a caller can do. Everything else must be silent.
      std::map<std::string, int64_t> by_library;
      const int64_t n = std::min(allocations.load(), static_cast<int64_t>(callers.size()));
      for (int64_t i = 0; i < n; ++i) {
        Dl_info info{};
        const bool known = dladdr(callers[static_cast<size_t>(i)], &info) != 0;
        ++by_library[known && info.dli_fname ? info.dli_fname : "?"];
      }
      for (const auto& [library, count] : by_library) {
        if (library.find("libdnnl") != std::string::npos) continue;
        ADD_FAILURE() << count << " allocations in " << library;
      }
      EXPECT_EQ(allocations, frees) << "what oneDNN takes it gives back";
    }
  }
#endif
}

TEST(AllocationTest, TheHookSeesAllocations) {
#if NC_HOOKED
  allocations = 0;
  watching = true;
  Tensor t({10}, DType::kF32);
  watching = false;
  EXPECT_GE(allocations, 2) << "the block and its Storage";
#endif
}

}  // namespace
}  // namespace nanochat
