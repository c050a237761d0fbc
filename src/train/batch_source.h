/// Where the trainer's micro-batches come from.
#pragma once

#include <cstdint>
#include <string>

#include "model/gpt.h"

namespace nanochat {

class BatchSource {
 public:
  virtual ~BatchSource() = default;
  /// Makes ready for a step of the run; returns how many micro-batches it has. 0: there is nothing
  /// to learn from.
  [[nodiscard]] virtual int64_t begin_step(int64_t step) = 0;
  /// Fills the next micro-batch: ids, targets, runs, and weights such that the losses of all
  /// micro-batches of a step add up to what the step minimises. Reuses the tensors it finds.
  virtual void next(Batch& batch) = 0;
  /// Tokens that next() has given out so far; padding does not count.
  [[nodiscard]] virtual int64_t tokens() const = 0;
  /// Seconds that begin_step() and next() have spent waiting for data so far.
  [[nodiscard]] virtual double wait_seconds() const = 0;
  /// Where in the data it is, for people: "epoch 1, file 3".
  [[nodiscard]] virtual std::string place() const = 0;
};

}  // namespace nanochat
