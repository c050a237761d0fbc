#include "engine/generate.h"

#include <algorithm>

#include "core/error.h"
#include "engine/engine.h"

namespace nanochat {
namespace {

/// Tokens that the longest row will have. Throws as generate().
int64_t needed_context(const Gpt& model, std::span<const std::vector<int32_t>> prompts,
                       const GenerateOptions& options) {
  int64_t longest = 0;
  for (const std::vector<int32_t>& prompt : prompts) {
    if (prompt.empty()) throw UsageError("a prompt has no tokens: it needs one at least");
    longest = std::max(longest, std::ssize(prompt));
  }
  const int64_t context = longest + options.max_new_tokens;
  if (context > model.config().max_positions()) {
    throw UsageError(
        "a prompt of {} tokens and {} new ones are more than the {} positions of this model: "
        "shorten one of them",
        longest, options.max_new_tokens, model.config().max_positions());
  }
  return context;
}

}  // namespace

std::vector<std::vector<int32_t>> generate(Gpt& model,
                                           std::span<const std::vector<int32_t>> prompts,
                                           const GenerateOptions& options,
                                           const std::function<void(size_t, int32_t)>& on_token) {
  std::vector<std::vector<int32_t>> out(prompts.size());
  if (prompts.empty() || options.max_new_tokens <= 0) return out;
  Engine engine(model, nullptr,
                {.slots = std::min(options.slots, std::ssize(prompts)),
                 .context = needed_context(model, prompts, options)});
  for (size_t row = 0; row < prompts.size(); ++row) {
    engine.submit({.prompt = prompts[row],
                   .max_tokens = options.max_new_tokens,
                   .sampling = options.sampling,
                   .seed = options.seed,
                   .sample = static_cast<uint32_t>(row),
                   .stop_ids = options.stop_ids},
                  [&, row](const GenerationEvent& event) {
                    if (event.id < 0) return;
                    out[row].push_back(event.id);
                    if (on_token) on_token(row, event.id);
                  });
  }
  engine.run();
  return out;
}

}  // namespace nanochat
