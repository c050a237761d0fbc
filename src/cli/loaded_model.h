/// A trained model with what is needed to run it.
#pragma once

#include <memory>
#include <string>

#include "cli/commands.h"
#include "model/gpt.h"
#include "tokenizer/tokenizer.h"
#include "train/checkpoint.h"
#include "train/model_name.h"

namespace nanochat::cli {

struct LoadedModel {
  FoundModel found;
  Checkpoint checkpoint;
  Tokenizer tokenizer;
  std::unique_ptr<Gpt> gpt;  ///< without gradients
};

/// Finds and verifies the checkpoint (train/model_name.h), loads its weights and the tokenizer kept
/// with the run, or the one named. Says on the console which model it is. Throws as those do, and
/// DataError when tokenizer and model are not of one vocabulary.
[[nodiscard]] LoadedModel load_model(const CommonOptions& common, const std::string& model,
                                     const std::string& tokenizer, const std::string& dtype,
                                     const std::string& device);

/// int8 when asked for; f32 when the activations are to be f32; else bf16.
[[nodiscard]] WeightFormat inference_format(const std::string& dtype, const std::string& quantize);

/// How a model is loaded to generate text with.
struct InferenceOptions {
  std::string model{}, tokenizer{};
  std::string device = "auto";    ///< see ops/devices.h
  std::string dtype = "auto";     ///< of activations; f32 keeps the weights in f32 too
  std::string quantize = "none";  ///< "none" or "int8"
};

/// The same, on a CPU with the weights packed (GptOptions::packed). The first time they are packed
/// and written beside the checkpoint, <checkpoint>/packed-<format>.safetensors; from then on that
/// file is mapped, so that starting costs little and processes share the memory. Where it cannot be
/// written (no permission, disk full), nothing is said and all else is the same.
[[nodiscard]] LoadedModel load_model_for_inference(const CommonOptions& common,
                                                   const InferenceOptions& options);

}  // namespace nanochat::cli
