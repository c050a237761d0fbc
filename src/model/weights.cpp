#include "model/weights.h"

#include <algorithm>
#include <string>
#include <vector>

namespace nanochat {
namespace {

constexpr std::string_view kConfigKey = "config";

/// Rows that a file may leave out: the padding of the vocabulary.
int64_t required_rows(const Gpt& model, const Parameter& p) {
  return p.kind == ParameterKind::kMatrix ? p.value.dim(0) : model.config().vocab_size;
}

Tensor widened(const Tensor& t) {
  if (t.dtype() != DType::kF16) return t;  // backends convert all but f16
  Tensor wide(t.shape(), DType::kF32);
  for (int64_t i = 0; i < t.numel(); ++i) {
    wide.data<float>()[i] = static_cast<float>(t.data<F16>()[i]);
  }
  return wide;
}

}  // namespace

FileDigest save_weights(const Gpt& model, const std::filesystem::path& path,
                        SafetensorsMetadata metadata) {
  std::vector<NamedTensor> tensors;
  for (const Parameter& p : model.parameters()) tensors.push_back({p.name, p.value});
  metadata.emplace(kConfigKey, model.config().to_json());
  return write_safetensors(path, tensors, metadata, /*finite=*/true);
}

GptConfig read_gpt_config(const SafetensorsFile& file) {
  const auto config = file.metadata().find(kConfigKey);
  if (config == file.metadata().end()) {
    throw DataError("{}: holds no model configuration: was it written by another program?",
                    file.name());
  }
  return GptConfig::parse_json(config->second, file.name());
}

void load_weights(Gpt& model, const SafetensorsFile& file, std::string_view prefix) {
  size_t under_prefix = 0;
  for (const SafetensorsEntry& e : file.entries()) under_prefix += e.name.starts_with(prefix);
  for (const Parameter& p : model.parameters()) {
    const std::string name = std::string(prefix) + p.name;
    const SafetensorsEntry& e = file.info(name);
    const bool fits = e.shape.rank() == 2 && e.shape[1] == p.value.dim(1) &&
                      (e.shape[0] == p.value.dim(0) || e.shape[0] == required_rows(model, p));
    if (!fits || !is_float(e.dtype)) {
      throw DataError("{}: tensor '{}' is {} {}, this model needs {} {}", file.name(), name,
                      name_of(e.dtype), e.shape, name_of(p.value.dtype()), p.value.shape());
    }
  }
  if (under_prefix != model.parameters().size()) {
    std::vector<std::string> known;
    for (const Parameter& p : model.parameters()) known.push_back(std::string(prefix) + p.name);
    for (const SafetensorsEntry& e : file.entries()) {
      if (e.name.starts_with(prefix) && std::ranges::find(known, e.name) == known.end()) {
        throw DataError("{}: tensor '{}' belongs to another architecture than classic GPT",
                        file.name(), e.name);
      }
    }
  }
  Backend& backend = model.backend();
  for (Parameter& p : model.parameters()) {
    const Tensor source = widened(file.tensor(std::string(prefix) + p.name));
    Tensor top = p.value.rows(0, source.dim(0));
    Tensor padding = p.value.rows(source.dim(0), p.value.dim(0));
    backend.cast(source, top);
    backend.zero(padding);
  }
  model.refresh_compute_weights();
  backend.synchronize();
}

}  // namespace nanochat
