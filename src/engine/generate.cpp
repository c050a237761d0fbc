#include "engine/generate.h"

#include <algorithm>

#include "core/error.h"

namespace nanochat {
namespace {

/// Slots the cache needs per prompt. Throws as generate().
int64_t needed_capacity(const Gpt& model, std::span<const std::vector<int32_t>> prompts,
                        const GenerateOptions& options) {
  int64_t longest = 0;
  for (const std::vector<int32_t>& prompt : prompts) {
    if (prompt.empty()) throw UsageError("a prompt has no tokens: it needs one at least");
    longest = std::max(longest, std::ssize(prompt));
  }
  const int64_t capacity = longest + options.max_new_tokens;
  if (capacity > model.config().max_positions()) {
    throw UsageError(
        "a prompt of {} tokens and {} new ones are more than the {} positions of this model: "
        "shorten one of them",
        longest, options.max_new_tokens, model.config().max_positions());
  }
  return capacity;
}

/// What one row feeds into the next forward, and where it stands.
struct Row {
  size_t prompt = 0;
  std::vector<int32_t> fresh;
  int64_t done = 0;  // tokens in the cache
};

}  // namespace

std::vector<std::vector<int32_t>> generate(Gpt& model, Tape& tape,
                                           std::span<const std::vector<int32_t>> prompts,
                                           const GenerateOptions& options,
                                           const std::function<void(size_t, int32_t)>& on_token) {
  std::vector<std::vector<int32_t>> out(prompts.size());
  if (prompts.empty() || options.max_new_tokens <= 0) return out;
  const RecordingScope off(tape, false);
  std::vector<KvCache> caches =
      model.make_caches(std::ssize(prompts), needed_capacity(model, prompts, options));
  std::vector<Row> rows;
  for (size_t i = 0; i < prompts.size(); ++i) rows.push_back({i, prompts[i], 0});

  while (!rows.empty()) {
    std::vector<Run> runs;
    std::vector<int32_t> ids;
    for (const Row& row : rows) {
      runs.push_back({.row_begin = static_cast<int32_t>(ids.size()),
                      .length = static_cast<int32_t>(row.fresh.size()),
                      .position = static_cast<int32_t>(row.done),
                      .slot = static_cast<int32_t>(row.prompt)});
      ids.insert(ids.end(), row.fresh.begin(), row.fresh.end());
    }
    const TokenRuns token_runs(runs, std::ssize(ids));
    const Var hidden = model.forward(
        tape, tensor_of(std::span<const int32_t>(ids), {std::ssize(ids)}), token_runs, caches);
    for (size_t i = 0; i < rows.size(); ++i) {
      Row& row = rows[i];
      const int64_t last = runs[i].row_begin + runs[i].length - 1;
      const Tensor logits = model.logits(tape, hidden.value.rows(last, last + 1));
      Tensor on_host(logits.shape(), logits.dtype());
      model.backend().copy(logits, on_host);
      model.backend().synchronize();
      const RandomStream random(options.seed, RandomPurpose::kSample, 0,
                                static_cast<uint32_t>(row.prompt));
      row.done += std::ssize(row.fresh);
      const int32_t id = sample_next_token(std::as_const(on_host).span<float>(), options.sampling,
                                           random, row.done);
      row.fresh.clear();
      if (std::ranges::find(options.stop_ids, id) != options.stop_ids.end()) continue;
      out[row.prompt].push_back(id);
      if (on_token) on_token(row.prompt, id);
      if (std::ssize(out[row.prompt]) < options.max_new_tokens) row.fresh.push_back(id);
    }
    std::erase_if(rows, [](const Row& row) { return row.fresh.empty(); });
  }
  return out;
}

}  // namespace nanochat
