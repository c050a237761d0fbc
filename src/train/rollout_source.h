/// Micro-batches of reinforcement learning: the model's own answers, and what they were worth.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/gpt.h"
#include "tasks/task.h"
#include "tokenizer/tokenizer.h"
#include "train/batch_source.h"
#include "train/rollouts.h"
#include "train/row_batches.h"

namespace nanochat {

/// One question with its answers.
struct RolloutGroup {
  std::vector<int32_t> prompt;
  std::vector<Rollout> rollouts;
  std::vector<double> rewards;  ///< one for each
};

/// The rows whose loss, sum of weight x cross-entropy, is minus the policy's objective of spec
/// chat_rl ("GRPO" without its extras; REINFORCE with the mean of a question's rewards as the
/// baseline). With G groups, A_b = reward_b - mean of the group's, and n_g the sampled tokens of
/// group g:
///   objective = 1/G sum_g 1/max(1, n_g) sum_{b in g} A_b sum_t log p(token t of b)
/// t goes over what the model sampled, the stop token too: not over the prompt, nor over what a
/// tool put in. Rows without advantage have no gradient and are left out.
///
/// Two departures from upstream: n_g counts the tokens of a group, upstream's those of each
/// device batch of it, so that its result depends on the device batch size; and upstream drops the
/// stop token, so that stopping is never learned.
[[nodiscard]] std::vector<TrainRow> policy_rows(std::span<const RolloutGroup> groups);

/// What is known of a step's rollouts.
struct RolloutStats {
  int64_t questions = 0, answers = 0;
  int64_t useful = 0;  ///< questions whose answers differ in reward: only they teach
  double mean_reward = 0;
  double mean_length = 0;  ///< tokens of prompt and answer
  double seconds = 0;      ///< of the rollouts, with judging
  int64_t new_tokens = 0;  ///< of all answers
};

/// Renders a task's questions, has them answered by the policy, and judges the answers.
class QuestionRunner {
 public:
  /// All outlive this.
  QuestionRunner(const Gpt& model, const Tokenizer& tokenizer, const RolloutOptions& options);

  /// As InferenceCopy.
  void refresh() { policy_.refresh(); }
  /// Answers to the questions `indices` of the task. A question that with max_new_tokens does not
  /// fit the context is left out and counted. seeds[i]: of question i. Throws as the task.
  [[nodiscard]] std::vector<RolloutGroup> run(const Task& task, std::span<const int64_t> indices,
                                              std::span<const uint64_t> seeds,
                                              const RolloutOptions& options);
  [[nodiscard]] const RolloutOptions& options() const noexcept { return options_; }
  [[nodiscard]] const Tokenizer& tokenizer() const noexcept { return tokenizer_; }
  [[nodiscard]] int64_t left_out() const noexcept { return left_out_; }

 private:
  void judge(const Task& task, int64_t index, RolloutGroup& group) const;

  const Tokenizer& tokenizer_;
  RolloutOptions options_;
  InferenceCopy policy_;
  int64_t left_out_ = 0;
};

/// Step i asks questions i Q, i Q + 1, ..., i Q + Q - 1, cyclically. Which tokens are drawn depends
/// on (seed, step, question, sample) alone, so there is no cursor to save.
class RolloutSource final : public BatchSource {
 public:
  RolloutSource(QuestionRunner& runner, const Task& task, int64_t questions_per_step,
                int64_t device_batch_size, int64_t sequence_len, uint64_t seed);

  [[nodiscard]] int64_t begin_step(int64_t step) override;
  void next(Batch& batch) override { batches_.next(batch); }
  [[nodiscard]] int64_t tokens() const override { return batches_.tokens(); }
  /// All the time of rollouts.
  [[nodiscard]] double wait_seconds() const override { return wait_seconds_; }
  [[nodiscard]] std::string place() const override;
  [[nodiscard]] const RolloutStats& stats() const noexcept { return stats_; }

 private:
  QuestionRunner& runner_;
  const Task& task_;
  int64_t questions_per_step_;
  uint64_t seed_;
  RowBatches batches_;
  RolloutStats stats_;
  double wait_seconds_ = 0;
};

/// Of n answers to a question, c right: the probability that at least one of k is, 1 - C(n - c, k)
/// / C(n, k) (Chen et al. 2021, arXiv:2107.03374). 1 <= k <= n.
[[nodiscard]] double pass_at_k(int64_t n, int64_t c, int64_t k) noexcept;

}  // namespace nanochat
