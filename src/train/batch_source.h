/// Where the trainer's micro-batches come from.
#pragma once

#include <string>

#include "model/gpt.h"

namespace nanochat {

class BatchSource {
 public:
  virtual ~BatchSource() = default;
  /// Fills the next micro-batch: ids, targets, runs, and weights such that the losses of all
  /// micro-batches of a step add up to what the step minimises. Reuses the tensors it finds.
  virtual void next(Batch& batch) = 0;
  /// Seconds that next() has spent waiting for data so far.
  [[nodiscard]] virtual double wait_seconds() const = 0;
  /// Where in the data it is, for people: "epoch 1, file 3".
  [[nodiscard]] virtual std::string place() const = 0;
};

}  // namespace nanochat
