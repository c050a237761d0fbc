#include "eval/bits_per_byte.h"

#include <cmath>
#include <limits>
#include <numbers>

namespace nanochat {

double BitsPerByte::value() const noexcept {
  if (bytes == 0) return std::numeric_limits<double>::infinity();
  return nats / (std::numbers::ln2 * static_cast<double>(bytes));
}

BitsPerByte bits_per_byte(Gpt& model, Tape& tape, const std::function<bool(Batch&)>& next,
                          int64_t max_batches, std::span<const int32_t> token_bytes) {
  NC_CHECK(std::ssize(token_bytes) == model.config().vocab_size, "{} byte counts for {} tokens",
           token_bytes.size(), model.config().vocab_size);
  const RecordingScope off(tape, false);
  BitsPerByte result;
  Batch batch;
  while (result.batches != max_batches && next(batch)) {
    const LossResult loss = model.loss(tape, batch);
    Tensor per_token(loss.per_token.shape(), loss.per_token.dtype());  // on the host
    model.backend().copy(loss.per_token, per_token);
    model.backend().synchronize();
    const std::span<const int32_t> targets = std::as_const(batch.targets).span<int32_t>();
    for (size_t n = 0; n < targets.size(); ++n) {
      if (targets[n] < 0) continue;
      const double nats = per_token.dtype() == DType::kF64
                              ? std::as_const(per_token).data<double>()[n]
                              : static_cast<double>(std::as_const(per_token).data<float>()[n]);
      result.all_nats += nats;
      ++result.all_targets;
      const int32_t bytes = token_bytes[static_cast<size_t>(targets[n])];
      if (bytes == 0) continue;
      result.nats += nats;
      result.bytes += bytes;
      ++result.tokens;
    }
    ++result.batches;
  }
  return result;
}

}  // namespace nanochat
