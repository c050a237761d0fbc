/// Small models for the tests of this folder, with weights that went through a file, as they do in
/// life.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "core/rng.h"
#include "model/gpt.h"
#include "model/weights.h"
#include "support/temporary_folder.h"

namespace nanochat::test {

inline GptConfig small_config(int64_t vocab_size = 272, int64_t window = -1) {
  return {.sequence_len = 64,
          .vocab_size = vocab_size,
          .n_layer = 2,
          .n_head = 4,
          .n_kv_head = 2,
          .n_embd = 32,
          .window = window};
}

/// For inference; `packed` none: as training computes.
inline std::unique_ptr<Gpt> load_small(const Gpt& from, Backend& backend, DType dtype,
                                       std::optional<WeightFormat> packed) {
  const TemporaryFolder folder;
  save_weights(from, folder / "model.safetensors");
  auto model = std::make_unique<Gpt>(
      from.config(), backend, GptOptions{.dtype = dtype, .trainable = false, .packed = packed});
  load_weights(*model, SafetensorsFile(folder / "model.safetensors"));
  return model;
}

/// Random weights everywhere, so that every part matters.
inline std::unique_ptr<Gpt> random_model(const GptConfig& config, Backend& backend,
                                         DType dtype = DType::kF32,
                                         std::optional<WeightFormat> packed = WeightFormat::kF32) {
  Gpt source(config, reference_backend());
  uint32_t item = 0;
  for (Parameter& p : source.parameters()) {
    const float std = p.kind == ParameterKind::kEmbedding ? 1.0F : 0.4F;
    fill_normal(p.value, RandomStream(5, RandomPurpose::kTest, 0, item++), 0, std);
  }
  source.refresh_compute_weights();
  return load_small(source, backend, dtype, packed);
}

/// Weights of a model that says successor[t] after t, surely: its blocks add nothing, and the row
/// of lm_head of each successor is the embedding of what it follows. n_embd must be at least as
/// large as the tokens are many.
inline std::unique_ptr<Gpt> bigram_weights(const std::map<int32_t, int32_t>& successor,
                                           int64_t vocab_size, int64_t sequence_len = 128) {
  GptConfig config = small_config(vocab_size);
  config.n_layer = 1;
  config.n_embd = 512;
  config.sequence_len = sequence_len;
  auto source = std::make_unique<Gpt>(config, reference_backend());
  source->init_weights(1);
  Tensor wte = source->parameter("transformer.wte.weight").value;
  Tensor head = source->parameter("lm_head.weight").value;
  reference_backend().zero(wte);
  for (int32_t id = 0; id < vocab_size; ++id) wte.data<float>()[id * 512 + id % 512] = 1;
  for (const auto& [before, after] : successor) {
    head.data<float>()[after * 512 + before % 512] += 1;
  }
  source->refresh_compute_weights();
  return source;
}

inline std::unique_ptr<Gpt> bigram_model(const std::map<int32_t, int32_t>& successor,
                                         int64_t vocab_size, Backend& backend) {
  return load_small(*bigram_weights(successor, vocab_size), backend, DType::kF32,
                    WeightFormat::kF32);
}

}  // namespace nanochat::test
