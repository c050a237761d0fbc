#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/interrupt.h"
#include "cli/loaded_model.h"
#include "cli/model.h"
#include "cli/text_io.h"
#include "core/error.h"
#include "engine/generate.h"
#include "train/base_config.h"

namespace nanochat::cli {

void run_sample(const CommonOptions& common, const SampleOptions& options) {
  const LoadedModel model = load_model_for_inference(common, {.model = options.model,
                                                              .tokenizer = options.tokenizer,
                                                              .device = options.device,
                                                              .dtype = options.dtype,
                                                              .quantize = options.quantize});
  const Tokenizer& tokenizer = model.tokenizer;
  const std::vector<std::string> texts =
      options.prompts.empty() ? BaseTrainConfig{}.sample_prompts : options.prompts;
  std::vector<std::vector<int32_t>> prompts;
  for (const std::string& text : texts) {
    std::vector<int32_t> ids{tokenizer.bos_id()};
    tokenizer.encode_to(text, ids);
    for (int64_t i = 0; i < options.num_samples; ++i) prompts.push_back(ids);
  }
  // One sample is shown as it is written; several at the end, in order.
  const bool stream = prompts.size() == 1 && !common.json;
  StreamDecoder decoder(tokenizer);
  if (stream) print_bytes(texts[0]);
  const InterruptGuard interrupts;
  const auto rows =
      generate(*model.gpt, prompts,
               {.max_new_tokens = options.max_new_tokens,
                .sampling = {.temperature = options.temperature, .top_k = options.top_k},
                .seed = static_cast<uint64_t>(options.seed),
                .stop_ids = {tokenizer.bos_id()}},  // the next document begins
               [&](size_t, int32_t id) {
                 interrupts.check();
                 if (!stream) return;
                 print_bytes(decoder.push(id));
                 std::fflush(stdout);
               });
  if (stream) {
    print_bytes(decoder.finish() + "\n");
    return;
  }
  nlohmann::ordered_json samples = nlohmann::ordered_json::array();
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::string& prompt = texts[i / static_cast<size_t>(options.num_samples)];
    const std::string text = tokenizer.decode(rows[i]);
    samples.push_back({{"prompt", prompt}, {"text", text}, {"tokens", rows[i].size()}});
    if (!common.json) print_bytes(prompt + text + (i + 1 < rows.size() ? "\n\n" : "\n"));
  }
  if (common.json) print_json({{"model", model.found.name}, {"samples", samples}});
}

}  // namespace nanochat::cli
