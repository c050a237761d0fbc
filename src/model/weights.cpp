#include "model/weights.h"

#include <algorithm>
#include <string>
#include <vector>

#include "core/parallel.h"
#include "ops/transfer.h"

namespace nanochat {
namespace {

constexpr std::string_view kConfigKey = "config";

/// Rows that a file may leave out: the padding of the vocabulary.
int64_t required_rows(const Gpt& model, const Parameter& p) {
  return p.kind == ParameterKind::kMatrix ? p.rows : model.config().vocab_size;
}

Tensor widened(const Tensor& t) {
  if (t.dtype() != DType::kF16) return t;  // all but f16 are converted elsewhere
  Tensor wide(t.shape(), DType::kF32);
  for (int64_t i = 0; i < t.numel(); ++i) {
    wide.data<float>()[i] = static_cast<float>(t.data<F16>()[i]);
  }
  return wide;
}

std::string packed_name(size_t i) { return fmt::format("packed.{}", i); }

SafetensorsMetadata packed_metadata(const Gpt& model, const std::string& source) {
  return {{"config", model.config().to_json()},
          {"format", fmt::format("{}, layout 1", name_of(*model.options().packed))},
          {"source", source}};
}

/// Into the panels; or, for a table that is only looked up, where it lies.
void load_for_inference(Gpt& model, Parameter& p, const Tensor& source) {
  if (!p.packed) {
    const bool as_it_is = source.dtype() == DType::kF32 && source.dim(0) == p.rows;
    p.value = as_it_is ? source : zeros({p.rows, p.columns}, DType::kF32);
    if (!as_it_is) {
      Tensor top = p.value.rows(0, source.dim(0));
      model.backend().cast(source, top);
    }
    p.compute = p.value;
    return;
  }
  if (!*p.packed) *p.packed = PackedWeights::zeros(p.packed->format, p.packed->out, p.packed->in);
  Tensor rows = source.rows(0, std::min(source.dim(0), p.packed->out - p.packed_row));
  if (rows.dtype() != DType::kF32 && rows.dtype() != DType::kBf16) {
    Tensor narrow(rows.shape(), DType::kF32);
    model.backend().cast(rows, narrow);
    rows = narrow;
  }
  p.packed->pack_rows(rows, p.packed_row);
}

}  // namespace

FileDigest save_weights(const Gpt& model, const std::filesystem::path& path,
                        SafetensorsMetadata metadata) {
  std::vector<NamedTensor> tensors;
  for (const Parameter& p : model.parameters()) {
    tensors.push_back({p.name, on_host(model.backend(), p.value)});
  }
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

void pack_weights(const Gpt& from, Gpt& packed) {
  NC_CHECK(packed.options().packed && packed.config() == from.config());
  for (size_t i = 0; i < packed.parameters().size(); ++i) {
    load_for_inference(packed, packed.parameters()[i],
                       on_host(from.backend(), from.parameters()[i].value));
  }
}

void round_weights(Gpt& model, WeightFormat format) {
  NC_CHECK(!model.options().packed);
  for (Parameter& p : model.parameters()) {
    if (p.kind == ParameterKind::kEmbedding) continue;  // stays as it is in a packed model too
    Tensor& weights = p.value ? p.value : p.compute;
    Tensor w = on_host(model.backend(), weights);
    PackedWeights packed = PackedWeights::zeros(format, p.rows, p.columns);
    packed.pack_rows(w, 0);
    parallel_for(p.rows, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        for (int64_t k = 0; k < p.columns; ++k) {
          const float x = packed.at(row, k);
          if (w.dtype() == DType::kBf16) {
            w.data<Bf16>()[row * p.columns + k] = Bf16(x);
          } else {
            w.data<float>()[row * p.columns + k] = x;
          }
        }
      }
    });
    if (w.raw() != weights.raw()) model.backend().copy(w, weights);
  }
  model.refresh_compute_weights();
}

void save_packed_weights(const Gpt& model, const std::filesystem::path& path,
                         const std::string& source) {
  std::vector<NamedTensor> tensors;
  for (const PackedWeights& w : model.packed_weights()) {
    const std::string name = packed_name(tensors.size() / 2);
    tensors.push_back({name, w.data});
    tensors.push_back({name + ".scales", w.scales ? w.scales : zeros({0}, DType::kF32)});
  }
  const Parameter& wte = model.parameters().front();
  tensors.push_back({wte.name, wte.value});
  write_safetensors(path, tensors, packed_metadata(model, source));
}

void load_packed_weights(Gpt& model, const std::filesystem::path& path, const std::string& source) {
  const SafetensorsFile file(path, {.checksums = true});
  for (const auto& [key, value] : packed_metadata(model, source)) {
    const auto found = file.metadata().find(key);
    if (found == file.metadata().end() || found->second != value) {
      throw DataError("{}: packed weights of another {}", file.name(), key);
    }
  }
  std::vector<PackedWeights> loaded;
  for (const PackedWeights& w : model.packed_weights()) {
    const std::string name = packed_name(loaded.size());
    const bool has_scales = w.format == WeightFormat::kInt8;
    loaded.emplace_back(w.format, w.out, w.in, file.tensor(name),
                        has_scales ? file.tensor(name + ".scales") : Tensor());
  }
  Parameter& wte = model.parameters().front();
  const Tensor table = file.tensor(wte.name);
  if (table.dtype() != DType::kF32 || table.shape() != Shape{wte.rows, wte.columns}) {
    throw DataError("{}: tensor '{}' is {} {}", file.name(), wte.name, name_of(table.dtype()),
                    table.shape());
  }
  load_for_inference(model, wte, table);
  std::ranges::move(loaded, model.packed_weights().begin());
}

void load_weights(Gpt& model, const SafetensorsFile& file, std::string_view prefix) {
  size_t under_prefix = 0;
  for (const SafetensorsEntry& e : file.entries()) under_prefix += e.name.starts_with(prefix);
  for (const Parameter& p : model.parameters()) {
    const std::string name = std::string(prefix) + p.name;
    const SafetensorsEntry& e = file.info(name);
    const bool fits = e.shape.rank() == 2 && e.shape[1] == p.columns &&
                      (e.shape[0] == p.rows || e.shape[0] == required_rows(model, p));
    if (!fits || !is_float(e.dtype)) {
      throw DataError("{}: tensor '{}' is {} {}, this model needs {} {}", file.name(), name,
                      name_of(e.dtype), e.shape, name_of(DType::kF32), Shape{p.rows, p.columns});
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
    if (model.options().packed) {
      load_for_inference(model, p, source);
      continue;
    }
    Tensor top = p.value.rows(0, source.dim(0));
    Tensor padding = p.value.rows(source.dim(0), p.value.dim(0));
    backend.cast(source, top);
    backend.zero(padding);
  }
  model.refresh_compute_weights();
  backend.synchronize();
}

}  // namespace nanochat
