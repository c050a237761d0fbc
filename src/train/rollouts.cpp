#include "train/rollouts.h"

#include <algorithm>

#include "core/error.h"
#include "engine/tools/calculator.h"
#include "model/weights.h"
#include "tokenizer/conversation.h"

namespace nanochat {
namespace {

GptOptions options_of_copy(const Gpt& model) {
  GptOptions options{.dtype = model.options().dtype, .trainable = false};
  if (model.backend().device().kind == DeviceKind::kCpu) {
    options.packed = options.dtype == DType::kBf16 ? WeightFormat::kBf16 : WeightFormat::kF32;
  }
  return options;
}

}  // namespace

InferenceCopy::InferenceCopy(const Gpt& model)
    : from_(model), copy_(model.config(), model.backend(), options_of_copy(model)) {}

Gpt& InferenceCopy::refresh() {
  if (copy_.options().packed) {
    pack_weights(from_, copy_);
    return copy_;
  }
  const std::span<Parameter> to = copy_.parameters();
  for (size_t i = 0; i < to.size(); ++i) {
    copy_.backend().cast(from_.parameters()[i].value, to[i].value);
  }
  copy_.refresh_compute_weights();
  return copy_;
}

std::string Rollout::text(const Tokenizer& tokenizer) const {
  return tokenizer.decode(std::span(ids).first(ids.size() - (has_stop ? 1 : 0)));
}

std::vector<Rollout> roll_out(Gpt& model, const Tokenizer& tokenizer,
                              std::span<const std::vector<int32_t>> prompts,
                              std::span<const uint64_t> seeds, const RolloutOptions& options) {
  NC_CHECK(prompts.size() == seeds.size());
  const int64_t n = std::ssize(prompts) * options.num_samples;
  std::vector<Rollout> rollouts(static_cast<size_t>(n));
  if (n == 0) return rollouts;
  int64_t longest = 0;
  for (const std::vector<int32_t>& prompt : prompts)
    longest = std::max(longest, std::ssize(prompt));
  const int64_t context = longest + options.max_new_tokens;
  if (context > model.config().max_positions()) {
    throw UsageError(
        "a prompt of {} tokens and {} new ones are more than the {} positions of this model: "
        "shorten one of them",
        longest, options.max_new_tokens, model.config().max_positions());
  }
  const ChatTokens chat(tokenizer);
  Engine engine(model, &tokenizer,
                {.slots = options.slots > 0 ? std::min(options.slots, n) : n,
                 .context = context,
                 .tool = options.tool});
  for (size_t k = 0; k < rollouts.size(); ++k) {
    const size_t i = k / static_cast<size_t>(options.num_samples);
    engine.submit({.prompt = prompts[i],
                   .max_tokens = options.max_new_tokens,
                   .sampling = options.sampling,
                   .seed = seeds[i],
                   .sample = static_cast<uint32_t>(k % static_cast<size_t>(options.num_samples)),
                   .stop_ids = {chat.assistant_end, chat.bos},
                   .use_tool = static_cast<bool>(options.tool)},
                  [&rollout = rollouts[k]](const GenerationEvent& event) {
                    const int32_t id = event.stop_id.value_or(event.id);
                    if (id < 0) return;
                    rollout.ids.push_back(id);
                    rollout.sampled.push_back(event.sampled ? 1 : 0);
                    rollout.has_stop = event.stop_id.has_value();
                  });
  }
  while (!(options.stop && options.stop()) && engine.step()) {
  }
  return rollouts;
}

std::vector<std::string> answer(Gpt& model, const Tokenizer& tokenizer,
                                std::span<const std::string> questions, int64_t max_new_tokens) {
  std::vector<std::vector<int32_t>> prompts;
  for (const std::string& question : questions) {
    // The last message is what is to be written.
    const Conversation conversation{{{Role::kUser, question}, {Role::kAssistant, ""}}};
    prompts.push_back(render_for_completion(tokenizer, conversation));
  }
  const std::vector<uint64_t> seeds(prompts.size());
  std::vector<std::string> answers;
  for (const Rollout& rollout : roll_out(
           model, tokenizer, prompts, seeds,
           {.max_new_tokens = max_new_tokens, .sampling = {.temperature = 0}, .tool = calculate})) {
    answers.push_back(rollout.text(tokenizer));
  }
  return answers;
}

}  // namespace nanochat
