#include "emulation.h"

#include <cstdio>
#include <cstdlib>

#ifndef __x86_64__
#error "the emulation switches between fibers in x86-64 assembly"
#endif

// Saves what a function must keep, changes stacks, and returns on the other one.
extern "C" void nanochat_emulation_switch(void** from, void* to);
asm(R"(
.text
.type nanochat_emulation_switch, @function
nanochat_emulation_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size nanochat_emulation_switch, .-nanochat_emulation_switch
)");

namespace nanochat::emulation {
namespace {

constexpr size_t kStackBytes = 64 << 10;
constexpr size_t kSharedBytes = 228 << 10;  // of a multiprocessor of sm_90
constexpr int kSavedRegisters = 6;

struct Block {
  std::vector<Fiber> fibers{};
  std::vector<Warp> warps{};
  const std::function<void()>* thread = nullptr;
  void* scheduler = nullptr;  // its stack pointer while a fiber runs
  int live = 0, arrived = 0;
  unsigned round = 0;
  int64_t progress = 0;  // grows when anything happens that others may wait for
  Place place{};
  alignas(1024) char shared[kSharedBytes];
};
Block& block() {
  static Block b;
  return b;
}

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "CUDA emulation: %s\n", what);
  std::abort();
}

void let_others_run() {
  nanochat_emulation_switch(&block().place.fiber->stack_pointer, block().scheduler);
}

void run_thread() {
  Block& b = block();
  (*b.thread)();
  Fiber& fiber = *b.place.fiber;
  if (!fiber.open_copies.empty()) fail("copies were never committed");
  for (const auto& group : fiber.copy_groups) {
    if (!group.empty()) fail("copies were never waited for");
  }
  fiber.done = true;
  ++b.progress;
  --b.live;
  Warp& w = warp();
  if (--w.live > 0 && w.arrived > 0) fail("a lane left while others of its warp wait for it");
  if (b.live > 0 && b.arrived == b.live) {  // exited threads count as arrived
    b.arrived = 0;
    ++b.round;
  }
  let_others_run();
}

void prepare(Fiber& fiber, int index, dim3 size) {
  fiber.done = false;
  fiber.index = index;
  const auto i = static_cast<unsigned>(index);
  fiber.thread_index = {i % size.x, i / size.x % size.y, i / (size.x * size.y)};
  fiber.exchanges = 0;
  fiber.open_copies.clear();
  fiber.copy_groups.clear();
  fiber.stack.resize(kStackBytes);
  // The end of the stack, such that run_thread finds it as after a call.
  auto top = (reinterpret_cast<uintptr_t>(fiber.stack.data()) + kStackBytes) & ~uintptr_t{63};
  auto* at = reinterpret_cast<void**>(top) - 1;
  *--at = reinterpret_cast<void*>(run_thread);
  at -= kSavedRegisters;
  std::fill(at, at + kSavedRegisters, nullptr);
  fiber.stack_pointer = at;
}

}  // namespace

Place& here() { return block().place; }
Warp& warp() { return block().warps[static_cast<size_t>(here().fiber->index / 32)]; }
char* dynamic_shared_memory() { return block().shared; }

void synchronize_block() {
  Block& b = block();
  ++b.progress;
  const unsigned round = b.round;
  if (++b.arrived == b.live) {
    b.arrived = 0;
    ++b.round;
    return;
  }
  while (b.round == round) let_others_run();
}

int exchange(const void* bytes, size_t n) {
  if (n > sizeof(Warp::shown[0][0])) fail("more than 32 bytes shown");
  Warp& w = warp();
  Fiber& fiber = *here().fiber;
  ++block().progress;
  const auto set = static_cast<int>(fiber.exchanges++ % 2);
  std::memcpy(w.shown[set][lane()], bytes, n);
  const unsigned round = w.round;
  if (++w.arrived == w.live) {
    w.arrived = 0;
    ++w.round;
  } else {
    while (w.round == round) let_others_run();
  }
  return set;
}

void run_grid(dim3 grid, dim3 size, const std::function<void()>& thread) {
  static const bool reverse = std::getenv("NANOCHAT_EMULATION_REVERSE") != nullptr;
  Block& b = block();
  const size_t n = size_t{size.x} * size.y * size.z;
  if (b.fibers.size() < n) b.fibers.resize(n);
  b.thread = &thread;
  b.place.block_size = size;
  b.place.grid_size = grid;
  const auto run_block = [&] {
    std::memset(b.shared, 0xff, sizeof b.shared);
    b.warps.assign((n + 31) / 32, Warp{});
    b.live = static_cast<int>(n);
    b.arrived = 0;
    for (size_t i = 0; i < n; ++i) {
      prepare(b.fibers[i], static_cast<int>(i), size);
      ++b.warps[i / 32].live;
    }
    while (b.live > 0) {
      const int64_t before = b.progress;
      for (size_t i = 0; i < n; ++i) {
        Fiber& fiber = b.fibers[reverse ? n - 1 - i : i];
        if (fiber.done) continue;
        b.place.fiber = &fiber;
        nanochat_emulation_switch(&b.scheduler, fiber.stack_pointer);
      }
      if (b.progress == before) fail("all threads wait for one another");
    }
  };
  for (unsigned z = 0; z < grid.z; ++z) {
    for (unsigned y = 0; y < grid.y; ++y) {
      for (unsigned x = 0; x < grid.x; ++x) {
        b.place.block_index = {x, y, z};
        run_block();
      }
    }
  }
}

}  // namespace nanochat::emulation
