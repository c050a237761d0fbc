/// A model of the fixtures folder: upstream's weights, inputs and numbers.
#pragma once

#include <filesystem>

#include "model/gpt.h"
#include "model/weights.h"
#include "support/fixtures.h"

namespace nanochat::test {

struct GptFixture {
  nlohmann::json json;
  SafetensorsFile file;
  GptConfig config;

  explicit GptFixture(const std::filesystem::path& path)
      : json(load_json(path)), file(std::filesystem::path(path).replace_extension(".safetensors")) {
    // The fixture's config holds upstream's fields; what upstream leaves in code stands beside it.
    nlohmann::json fields = json.at("config");
    fields["softcap"] = json.at("softcap");
    fields["rms_norm_eps"] = json.at("rms_norm_eps");
    fields["rope_base"] = json.at("rotary").at("base");
    fields["pad_vocab_to"] = 1;
    config = GptConfig::parse_json(fields.dump(), path.string());
  }

  /// Tensors "idx" and "targets", with the weights of a mean.
  [[nodiscard]] Batch batch() const {
    const Tensor idx = file.tensor("idx");
    Batch b{to_i32(idx), to_i32(file.tensor("targets")), Tensor({idx.numel()}, DType::kF32),
            TokenRuns::uniform(idx.dim(0), idx.dim(1))};
    set_mean_weights(b);
    return b;
  }

 private:
  static Tensor to_i32(const Tensor& t) {
    Tensor y({t.numel()}, DType::kI32);
    for (int64_t i = 0; i < t.numel(); ++i) {
      y.data<int32_t>()[i] = static_cast<int32_t>(t.data<int64_t>()[i]);
    }
    return y;
  }
};

}  // namespace nanochat::test
