/// Reverse-mode differentiation: a stack of backward steps.
///
/// The functions of autograd/functions.h compute a value at once and, while the tape is recording,
/// push a closure that turns the gradient of their output into gradients of their inputs.
/// backward() pops and runs the closures, newest first. A closure dies as soon as it has run, and
/// with it the activations it kept, so memory shrinks as backward proceeds. With recording off the
/// same functions are inference.
///
/// After a first step of the same shape, recording and backward allocate nothing: closures lie in
/// chunks that are kept, gradients in slots that are kept, tensors in the caller's Arena.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/tensor.h"
#include "ops/backend.h"

namespace nanochat {

/// A value and the slot its gradient will arrive in. slot < 0: no gradient wanted (an input, or
/// recording is off).
struct Var {
  Tensor value;
  int32_t slot = -1;
};

/// Not thread-safe; one per thread of training.
class Tape {
 public:
  /// Tensors made by functions come from `allocator`: an Arena in training.
  Tape(Backend& backend, Allocator& allocator) : backend_(backend), allocator_(allocator) {}
  ~Tape() { clear(); }
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  [[nodiscard]] Backend& backend() const noexcept { return backend_; }
  [[nodiscard]] Allocator& allocator() const noexcept { return allocator_; }
  [[nodiscard]] Tensor empty(Shape shape, DType dtype) { return {shape, dtype, allocator_}; }

  [[nodiscard]] bool recording() const noexcept { return recording_; }
  void set_recording(bool on) noexcept { recording_ = on; }

  /// A function's output: with a new gradient slot when recording.
  [[nodiscard]] Var variable(Tensor value);

  /// Pushes a backward step, a callable void(Tape&), when recording. It runs once. It should
  /// capture slots and the tensors it needs, not Vars: a captured value is memory held until then.
  template <typename F>
  void record(F&& step) {
    using Step = std::decay_t<F>;
    static_assert(sizeof(Step) <= kChunkBytes && alignof(Step) <= alignof(std::max_align_t));
    if (!recording_) return;
    const Position before = position_;
    void* place = reserve(sizeof(Step));
    ::new (place) Step(std::forward<F>(step));
    nodes_.push_back({place, before, [](void* p, Tape& t) { (*static_cast<Step*>(p))(t); },
                      [](void* p) noexcept { static_cast<Step*>(p)->~Step(); }});
  }

  /// Adds g to the gradient in `slot`, or makes it the gradient if there is none yet; nothing when
  /// slot < 0. Tensors are shared, not copied, as long as nobody writes.
  void add_grad(int32_t slot, Tensor g);
  /// Takes the gradient out of the slot; undefined when none has arrived.
  [[nodiscard]] Tensor take_grad(int32_t slot) noexcept;

  /// Runs and drops every step; gradients must have been seeded with add_grad (a loss function
  /// seeds itself). Gradients left in slots (of inputs made with variable()) stay until clear().
  void backward() { backward_to({}); }
  /// Drops all steps and gradients.
  void clear() noexcept;

  /// The height of the stack now, and running down to it: for activation checkpointing.
  struct Mark {
    size_t nodes = 0;
    size_t slots = 0;
  };
  [[nodiscard]] Mark mark() const noexcept { return {nodes_.size(), grads_.size()}; }
  void backward_to(Mark mark);
  /// Forgets the slots made since the mark.
  void drop_slots(Mark mark) noexcept { grads_.resize(mark.slots); }

 private:
  static constexpr size_t kChunkBytes = 64 << 10;  // some hundred closures
  struct Position {
    size_t chunk = 0;
    size_t offset = 0;
  };
  struct Node {
    void* closure;
    Position before;
    void (*run)(void*, Tape&);
    void (*destroy)(void*) noexcept;
  };
  [[nodiscard]] void* reserve(size_t size_bytes);
  void pop() noexcept;

  Backend& backend_;
  Allocator& allocator_;
  bool recording_ = false;
  std::vector<Node> nodes_;
  std::vector<Tensor> grads_;                         // by slot
  std::vector<std::unique_ptr<std::byte[]>> chunks_;  // closures never move
  Position position_;
};

/// Switches recording for a scope.
class RecordingScope {
 public:
  RecordingScope(Tape& tape, bool on) noexcept : tape_(tape), before_(tape.recording()) {
    tape_.set_recording(on);
  }
  ~RecordingScope() { tape_.set_recording(before_); }
  RecordingScope(const RecordingScope&) = delete;
  RecordingScope& operator=(const RecordingScope&) = delete;

 private:
  Tape& tape_;
  bool before_;
};

/// Activation checkpointing (Chen et al. 2016, arXiv:1604.06174): y = f(tape, x), keeping only x;
/// backward runs f again, this time recording, and goes back through it. f must give the same bits
/// both times, which every function of ours does, so gradients equal those without it.
template <typename F>
[[nodiscard]] Var checkpoint(Tape& tape, const Var& x, F f) {
  if (!tape.recording()) return f(tape, x);
  Tensor value = [&] {
    const RecordingScope off(tape, false);
    return f(tape, Var{x.value, -1}).value;
  }();
  Var y = tape.variable(std::move(value));
  tape.record([x = x.value, dx_slot = x.slot, dy_slot = y.slot, f](Tape& t) mutable {
    Tensor dy = t.take_grad(dy_slot);
    if (!dy) return;
    const Tape::Mark mark = t.mark();
    const RecordingScope on(t, true);
    const int32_t x_slot = [&] {
      const Var input = t.variable(std::move(x));
      t.add_grad(f(t, input).slot, std::move(dy));
      return input.slot;
    }();
    t.backward_to(mark);
    Tensor dx = t.take_grad(x_slot);
    t.drop_slots(mark);
    t.add_grad(dx_slot, std::move(dx));
  });
  return y;
}

}  // namespace nanochat
