#include "train/rollout_source.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "core/error.h"
#include "core/parallel.h"
#include "core/progress.h"
#include "core/rng.h"

namespace nanochat {

std::vector<TrainRow> policy_rows(std::span<const RolloutGroup> groups) {
  std::vector<TrainRow> rows;
  for (const RolloutGroup& group : groups) {
    int64_t sampled = 0;
    for (const Rollout& r : group.rollouts) sampled += std::ranges::count(r.sampled, uint8_t{1});
    const double mean = std::accumulate(group.rewards.begin(), group.rewards.end(), 0.0) /
                        static_cast<double>(std::max<size_t>(1, group.rewards.size()));
    const double scale = 1 / (static_cast<double>(groups.size()) *
                              static_cast<double>(std::max<int64_t>(1, sampled)));
    for (size_t b = 0; b < group.rollouts.size(); ++b) {
      const double advantage = group.rewards[b] - mean;
      if (advantage == 0) continue;
      TrainRow row{.tokens = {group.prompt, std::vector<uint8_t>(group.prompt.size(), 0)},
                   .weight = advantage * scale};
      const Rollout& r = group.rollouts[b];
      row.tokens.ids.insert(row.tokens.ids.end(), r.ids.begin(), r.ids.end());
      row.tokens.mask.insert(row.tokens.mask.end(), r.sampled.begin(), r.sampled.end());
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

QuestionRunner::QuestionRunner(const Gpt& model, const Tokenizer& tokenizer,
                               const RolloutOptions& options)
    : tokenizer_(tokenizer), options_(options), policy_(model) {
  if (options.max_new_tokens < 1 || options.max_new_tokens > model.config().sequence_len - 2) {
    throw UsageError("--max-new-tokens {}: 1 to {}, so that a question finds room in the context",
                     options.max_new_tokens, model.config().sequence_len - 2);
  }
}

std::vector<RolloutGroup> QuestionRunner::run(const Task& task, std::span<const int64_t> indices,
                                              std::span<const uint64_t> seeds,
                                              const RolloutOptions& options) {
  const int64_t room = policy_.model().config().sequence_len - options.max_new_tokens;
  std::vector<RolloutGroup> groups;
  std::vector<std::vector<int32_t>> prompts;
  std::vector<uint64_t> seeds_left;
  std::vector<int64_t> indices_left;
  for (size_t i = 0; i < indices.size(); ++i) {
    std::vector<int32_t> prompt =
        render_for_completion(tokenizer_, task.example(indices[i]).conversation, room);
    if (std::ssize(prompt) > room) {
      ++left_out_;
      continue;
    }
    prompts.push_back(std::move(prompt));
    seeds_left.push_back(seeds[i]);
    indices_left.push_back(indices[i]);
  }
  std::vector<Rollout> rollouts =
      roll_out(policy_.model(), tokenizer_, prompts, seeds_left, options);
  for (size_t i = 0; i < prompts.size(); ++i) {
    RolloutGroup& group = groups.emplace_back(RolloutGroup{std::move(prompts[i]), {}, {}});
    const auto first = rollouts.begin() + static_cast<int64_t>(i) * options.num_samples;
    group.rollouts.assign(std::make_move_iterator(first),
                          std::make_move_iterator(first + options.num_samples));
    judge(task, indices_left[i], group);
  }
  return groups;
}

/// Side by side: a task may run what the model wrote.
void QuestionRunner::judge(const Task& task, int64_t index, RolloutGroup& group) const {
  group.rewards.resize(group.rollouts.size());
  std::vector<std::exception_ptr> errors(group.rollouts.size());
  parallel_items(std::ssize(group.rollouts), [&](int64_t k, int) {
    const auto b = static_cast<size_t>(k);
    try {
      group.rewards[b] = task.reward(index, group.rollouts[b].text(tokenizer_));
    } catch (...) {
      errors[b] = std::current_exception();
    }
  });
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

RolloutSource::RolloutSource(QuestionRunner& runner, const Task& task, int64_t questions_per_step,
                             int64_t device_batch_size, int64_t sequence_len, uint64_t seed)
    : runner_(runner),
      task_(task),
      questions_per_step_(questions_per_step),
      seed_(seed),
      batches_(device_batch_size, sequence_len) {}

int64_t RolloutSource::begin_step(int64_t step) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  std::vector<int64_t> indices;
  std::vector<uint64_t> seeds;
  for (int64_t q = 0; q < questions_per_step_; ++q) {
    indices.push_back((step * questions_per_step_ + q) % task_.size());
    const RandomStream random(seed_, RandomPurpose::kRollout, static_cast<uint32_t>(step),
                              static_cast<uint32_t>(q));
    seeds.push_back(uint64_t{random.bits(0)} << 32 | random.bits(1));
  }
  runner_.refresh();
  const std::vector<RolloutGroup> groups = runner_.run(task_, indices, seeds, runner_.options());
  stats_ = {.questions = std::ssize(groups)};
  int64_t length = 0;
  for (const RolloutGroup& group : groups) {
    stats_.useful +=
        std::ranges::adjacent_find(group.rewards, std::not_equal_to()) != group.rewards.end();
    for (const double reward : group.rewards) stats_.mean_reward += reward;
    stats_.answers += std::ssize(group.rollouts);
    for (const Rollout& r : group.rollouts) {
      stats_.new_tokens += std::ssize(r.ids);
      length += std::ssize(r.ids) + std::ssize(group.prompt);
    }
  }
  if (stats_.answers > 0) {
    stats_.mean_reward /= static_cast<double>(stats_.answers);
    stats_.mean_length = static_cast<double>(length) / static_cast<double>(stats_.answers);
  }
  const int64_t micro_batches = batches_.assign(policy_rows(groups));
  stats_.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  wait_seconds_ += stats_.seconds;
  return micro_batches;
}

std::string RolloutSource::place() const {
  return fmt::format("reward {:.3f}, {} of {} questions teach, rollouts {:.1f} s ({} tokens/s)",
                     stats_.mean_reward, stats_.useful, stats_.questions, stats_.seconds,
                     format_count(static_cast<double>(stats_.new_tokens) / stats_.seconds));
}

double pass_at_k(int64_t n, int64_t c, int64_t k) noexcept {
  double none = 1;  // C(n - c, k) / C(n, k)
  for (int64_t i = 0; i < k; ++i) {
    none *= static_cast<double>(std::max<int64_t>(0, n - c - i)) / static_cast<double>(n - i);
  }
  return 1 - none;
}

}  // namespace nanochat
