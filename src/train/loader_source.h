/// Micro-batches of pretraining: a token loader's batches, every token counting alike.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "data/token_loader.h"
#include "model/safetensors.h"
#include "train/batch_source.h"

namespace nanochat {

class LoaderSource final : public BatchSource {
 public:
  /// `micro_batches`: of a step; each counts 1 / micro_batches. Throws as TokenLoader.
  LoaderSource(std::vector<DataPart> parts, const Tokenizer& tokenizer,
               const TokenLoaderOptions& options, int64_t micro_batches,
               const std::optional<LoaderState>& resume = {});

  [[nodiscard]] int64_t begin_step(int64_t /*step*/) override { return micro_batches_; }
  void next(Batch& batch) override;
  /// The same; false at the end of a loader that is not endless.
  [[nodiscard]] bool try_next(Batch& batch);
  [[nodiscard]] int64_t tokens() const override { return batches_ * B_ * T_; }
  [[nodiscard]] double wait_seconds() const override { return loader_.wait_seconds(); }
  [[nodiscard]] std::string place() const override;

  [[nodiscard]] const TokenLoader& loader() const noexcept { return loader_; }

 private:
  TokenLoader loader_;
  int64_t B_, T_, micro_batches_, batches_ = 0;
  size_t n_parts_;
  TokenBatch tokens_;
};

/// What of a loader's state goes into a checkpoint as tensors, beside its position; and back.
[[nodiscard]] std::vector<NamedTensor> tensors_of(const LoaderState& state);
/// Throws DataError naming `where` when they are not what tensors_of makes.
[[nodiscard]] LoaderState loader_state(std::string position, std::span<const NamedTensor> tensors,
                                       const std::string& where);

}  // namespace nanochat
