#include "train/loader_source.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/error.h"

namespace nanochat {
namespace {

constexpr std::string_view kTokens = "tokens", kLengths = "lengths";

}  // namespace

LoaderSource::LoaderSource(std::vector<DataPart> parts, const Tokenizer& tokenizer,
                           const TokenLoaderOptions& options, int64_t micro_batches,
                           const std::optional<LoaderState>& resume)
    : loader_(parts, tokenizer, options, resume),
      B_(options.device_batch_size),
      T_(options.sequence_len),
      micro_batches_(micro_batches),
      n_parts_(parts.size()) {}

bool LoaderSource::try_next(Batch& batch) {
  if (!loader_.next(tokens_)) return false;
  const int64_t N = B_ * T_;
  if (!batch.ids || batch.ids.numel() != N) {
    batch = {Tensor({N}, DType::kI32), Tensor({N}, DType::kI32), Tensor({N}, DType::kF32),
             TokenRuns::uniform(B_, T_)};
  }
  std::ranges::copy(tokens_.ids, batch.ids.data<int32_t>());
  std::ranges::copy(tokens_.targets, batch.targets.data<int32_t>());
  set_mean_weights(batch, micro_batches_);
  ++batches_;
  return true;
}

void LoaderSource::next(Batch& batch) { NC_CHECK(try_next(batch), "an endless loader has ended"); }

std::string LoaderSource::place() const {
  if (n_parts_ == 1) return fmt::format("epoch {}", tokens_.epoch);
  return fmt::format("epoch {}, file {} of {}", tokens_.epoch, tokens_.file + 1, n_parts_);
}

std::vector<NamedTensor> tensors_of(const LoaderState& state) {
  if (state.lengths.empty()) return {};
  return {
      {std::string(kTokens), tensor_of(std::span(state.tokens), {std::ssize(state.tokens)})},
      {std::string(kLengths), tensor_of(std::span(state.lengths), {std::ssize(state.lengths)})}};
}

LoaderState loader_state(std::string position, std::span<const NamedTensor> tensors,
                         const std::string& where) {
  LoaderState state{.position = std::move(position), .tokens = {}, .lengths = {}};
  for (const NamedTensor& t : tensors) {
    const bool is_tokens = t.name == kTokens && t.tensor.dtype() == DType::kI32;
    const bool is_lengths = t.name == kLengths && t.tensor.dtype() == DType::kI64;
    if (t.tensor.rank() != 1 || !(is_tokens || is_lengths)) {
      throw DataError("{}: tensor '{}' is none of a token loader's", where, t.name);
    }
    if (is_tokens) {
      const auto values = t.tensor.span<int32_t>();
      state.tokens.assign(values.begin(), values.end());
    } else {
      const auto values = t.tensor.span<int64_t>();
      state.lengths.assign(values.begin(), values.end());
    }
  }
  return state;
}

}  // namespace nanochat
