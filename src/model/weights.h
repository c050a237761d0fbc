/// A model's weights in a safetensors file.
#pragma once

#include <filesystem>
#include <string_view>

#include "model/gpt.h"
#include "model/safetensors.h"

namespace nanochat {

/// Writes the master weights under upstream's state-dict keys, and the configuration as metadata
/// "config". Throws as write_safetensors; a weight that is not finite is refused (NumericError) and
/// an older file stays.
FileDigest save_weights(const Gpt& model, const std::filesystem::path& path,
                        SafetensorsMetadata metadata = {});

/// The configuration that save_weights put there. Throws DataError when it is missing or wrong.
[[nodiscard]] GptConfig read_gpt_config(const SafetensorsFile& file);

/// Copies the tensors named `prefix` + key from the mapped file into the model, rounding to its
/// dtype (F64, F32, BF16 and F16 are accepted), and refreshes the compute weights. wte and lm_head
/// may come without their padding rows, which then are zero.
/// Throws DataError, and leaves the model as it was, when a tensor is missing or has another shape,
/// or when the file holds one under `prefix` that this architecture does not know: dropping it
/// would give a model that runs and is wrong.
///
/// A model with packed weights packs them, and looks at wte where it lies in the mapped file.
void load_weights(Gpt& model, const SafetensorsFile& file, std::string_view prefix = "");

/// Packs the weights of a model that is not into one that is, of the same configuration.
void pack_weights(const Gpt& from, Gpt& packed);

/// Rounds the matrices of a model that is not packed to what `format` can hold, so that its loss is
/// the loss of the packed one.
void round_weights(Gpt& model, WeightFormat format);

/// All that a model with packed weights computes with, so that other processes map it instead of
/// packing again: nothing is copied, and all share the memory. `source` names what it was made
/// from.
void save_packed_weights(const Gpt& model, const std::filesystem::path& path,
                         const std::string& source);
/// Looks at such a file's weights. Throws NotFoundError, or DataError when it is of another source,
/// configuration or format, or damaged; the model is then as it was.
void load_packed_weights(Gpt& model, const std::filesystem::path& path, const std::string& source);

}  // namespace nanochat
