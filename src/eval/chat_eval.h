/// How well a chat model answers a task's questions (tasks/task.h): the letter it finds likeliest,
/// or an answer that it writes, with its tools at hand.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/sampler.h"
#include "engine/tool_state.h"
#include "eval/score.h"
#include "eval/sequence_scorer.h"
#include "tasks/task.h"
#include "tokenizer/tokenizer.h"

namespace nanochat {

/// What became of one problem.
struct ChatRecord {
  int64_t index = 0;     ///< in the task
  bool correct = false;  ///< some answer is right
  /// One for each sample: what was written, tool calls and their results by the names of their
  /// special tokens; of a categorical task, the letter.
  std::vector<std::string> answers{};
  std::vector<bool> verdicts{};         ///< of each answer
  std::vector<std::string> letters{};   ///< categorical: what could be answered,
  std::vector<double> probabilities{};  ///< and how likely each is among these
  std::string_view reason{};            ///< generative: name_of() the last answer's FinishReason
};

struct ChatEvalProgress {
  int64_t done = 0, total = 0;  ///< problems of this process's share
  int64_t correct = 0;
};

struct ChatEvalOptions {
  int64_t max_problems = -1;  ///< the first so many of the task; < 0: all
  /// This process does problems rank, rank + world_size, ...
  int64_t rank = 0, world_size = 1;
  int64_t batch_size = 16;  ///< sequences at a time
  // Of generative tasks.
  int64_t num_samples = 1;  ///< a problem is solved when one of them is right
  int64_t max_new_tokens = 512;
  SamplingOptions sampling = {.temperature = 0, .top_k = 50};
  uint64_t seed = 42;
  Tool tool{};  ///< EngineOptions has these
  bool tool_is_slow = false;
  // What these throw ends the evaluation.
  std::function<void()> on_step{};  ///< after each forward pass
  std::function<void(const ChatEvalProgress&)> on_progress{};
  std::function<void(const ChatRecord&)> on_record{};  ///< in the order of the problems
};

/// This process's share of a task; the sums of several processes add up. The score's name is the
/// task's. With packed weights every answer is the same to the bit whatever batch_size and
/// world_size are: a sample's random numbers depend on the seed, the problem and the sample's
/// number.
/// At temperature 0 all samples are the same one, so one is drawn.
///
/// Throws UsageError for a task without a judge or options that make no sense; DataError when a
/// letter is not one token; NumericError when the model's numbers are not finite; and what the
/// task throws.
[[nodiscard]] EvalScore evaluate_chat_task(Gpt& model, const Tokenizer& tokenizer, const Task& task,
                                           const ChatEvalOptions& options = {});

/// What ChatCORE is the mean of. Upstream had the last one only for a while: without it, see
/// kChatCoreTasks.first(5).
inline constexpr std::array<std::string_view, 6> kChatCoreTasks{
    "ARC-Easy", "ARC-Challenge", "MMLU", "GSM8K", "HumanEval", "SpellingBee"};

/// The scores of these tasks, in this order; nothing when one is missing or has no problem. Their
/// mean_centered() is ChatCORE.
[[nodiscard]] std::optional<std::vector<EvalScore>> scores_of(
    std::span<const EvalScore> scores, std::span<const std::string_view> tasks);

}  // namespace nanochat
