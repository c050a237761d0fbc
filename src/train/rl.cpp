#include "train/rl.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "core/error.h"
#include "core/log.h"
#include "engine/tools/calculator.h"
#include "train/rollout_source.h"

namespace nanochat {
namespace {

using nlohmann::ordered_json;

constexpr int64_t kSamplesShown = 3;

/// What is trained on and what is measured on.
struct RlTasks {
  TaskPtr train, eval;  ///< eval null: nothing is measured
  std::string eval_name;
};

RlTasks split_tasks(const RlConfig& config, const RlInput& input) {
  const auto require_reward = [](const Task& task) {
    if (!task.has_reward()) {
      throw UsageError("{}: its answers have no reward: choose a task with one", task.name());
    }
  };
  require_reward(*input.train);
  RlTasks tasks{input.train, input.eval, {}};
  if (config.eval_every == 0) return {input.train, nullptr, {}};
  if (input.eval) {
    require_reward(*input.eval);
    tasks.eval = slice(input.eval, 0, config.eval_examples);
    tasks.eval_name = fmt::format("{} ({}), the first {} of {} examples", input.eval->name(),
                                  config.eval_task, tasks.eval->size(), input.eval->size());
    return tasks;
  }
  const int64_t size = input.train->size();
  const int64_t held_out = std::min(config.eval_examples, size / 10);
  if (held_out < 1) {
    throw UsageError(
        "{} has {} examples: too few to hold some out: give --eval-task, or "
        "--eval-every 0",
        input.train->name(), size);
  }
  tasks.train = slice(input.train, 0, size - held_out);
  tasks.eval = slice(input.train, size - held_out);
  tasks.eval_name = fmt::format("{} ({}), the last {} of {} examples, held out of training",
                                input.train->name(), config.task, held_out, size);
  return tasks;
}

class RlTraining final : public Stage {
 public:
  RlTraining(const RlConfig& config, const RlInput& input, const Tokenizer& tokenizer,
             const StageRun& run);

 private:
  void describe() const override;
  /// The step says which questions are next.
  [[nodiscard]] ordered_json data_state() const override {
    return {{"examples", tasks_.train->size()}};
  }
  [[nodiscard]] ordered_json step_metrics(const StepStats& stats) override;
  void sum_up() const override;
  void evaluate(int64_t step);

  const RlConfig& config_;
  const RlInput& input_;
  const Tokenizer& tokenizer_;
  RlTasks tasks_;
  int64_t num_iterations_ = 0;
  std::unique_ptr<QuestionRunner> runner_;
  std::unique_ptr<RolloutSource> source_;
  // Of this process, for the last line.
  double rollout_seconds_ = 0, update_seconds_ = 0;
  int64_t rollout_tokens_ = 0;
};

RlTraining::RlTraining(const RlConfig& config, const RlInput& input, const Tokenizer& tokenizer,
                       const StageRun& run)
    : Stage("rl", run, config, config),
      config_(config),
      input_(input),
      tokenizer_(tokenizer),
      tasks_(split_tasks(config, input)) {
  const std::initializer_list<std::pair<const char*, int64_t>> counts{
      {"--examples-per-step", config.examples_per_step},
      {"--num-samples", config.num_samples},
      {"--device-batch-size", config.device_batch_size},
      {"--eval-samples", config.eval_samples}};
  for (const auto& [flag, value] : counts) {
    if (value < 1) throw UsageError("{} {}: must be at least 1", flag, value);
  }
  compare(config);
  make_model_from(input.source, config, config, tokenizer, [](int64_t) { return 0.95; });
  num_iterations_ = config.num_iterations > 0
                        ? config.num_iterations
                        : tasks_.train->size() * config.num_epochs / config.examples_per_step;
  if (num_iterations_ < 1) {
    throw UsageError(
        "{} questions in {} epochs are less than one step of {}: lower "
        "--examples-per-step, or give --num-iterations",
        tasks_.train->size(), config.num_epochs, config.examples_per_step);
  }
  if (is_resumed() && saved("data").value("examples", int64_t{-1}) != tasks_.train->size()) {
    throw UsageError(
        "{}: the run was begun with {} questions, there are {}: resume it with the "
        "same --task and --eval-examples, or begin another (--run NAME)",
        state_path(), saved("data").value("examples", int64_t{-1}), tasks_.train->size());
  }
  const SamplingOptions sampling{.temperature = config.temperature, .top_k = config.top_k};
  sampling.validate();
  runner_ = std::make_unique<QuestionRunner>(model(), tokenizer,
                                             RolloutOptions{.num_samples = config.num_samples,
                                                            .max_new_tokens = config.max_new_tokens,
                                                            .sampling = sampling,
                                                            .slots = config.slots,
                                                            .tool = calculate});
  source_ = std::make_unique<RolloutSource>(*runner_, *tasks_.train, config.examples_per_step,
                                            config.device_batch_size, model().config().sequence_len,
                                            static_cast<uint64_t>(config.seed));
  std::vector<TrainerEvent> events;
  if (tasks_.eval) {
    events.push_back(
        event("evaluate", config.eval_every, config.eval_every > 0, &RlTraining::evaluate));
  }
  start({.num_iterations = num_iterations_,
         .schedule = &config,
         .source = source_.get(),
         .tokenizer = &tokenizer,
         .events = std::move(events),
         .settings = to_json(config),
         .toml = to_toml(config, "train.rl")});
}

void RlTraining::describe() const {
  describe_model();
  if (!is_resumed()) log_info("from {}", input_.source_name);
  log_info("{} questions of {}: {} steps of {} questions with {} answers each",
           grouped(tasks_.train->size()), tasks_.train->name(), grouped(num_iterations_),
           config_.examples_per_step, config_.num_samples);
  if (tasks_.eval) log_info("pass@k on {}", tasks_.eval_name);
}

ordered_json RlTraining::step_metrics(const StepStats& stats) {
  const RolloutStats& r = source_->stats();
  const double update_seconds = stats.seconds - r.seconds;
  rollout_seconds_ += r.seconds;
  update_seconds_ += update_seconds;
  rollout_tokens_ += r.new_tokens;
  remember({{"reward", r.mean_reward}});
  return {{"rl/reward", r.mean_reward},
          {"rl/length", r.mean_length},
          {"rl/useful_questions", r.useful},
          {"rl/rollout_seconds", r.seconds},
          {"rl/update_seconds", update_seconds},
          {"rl/rollout_tok_per_sec", static_cast<double>(r.new_tokens) / r.seconds}};
}

void RlTraining::evaluate(int64_t step) {
  const Task& task = *tasks_.eval;
  std::vector<int64_t> indices(static_cast<size_t>(task.size()));
  std::iota(indices.begin(), indices.end(), 0);
  RolloutOptions options = runner_->options();
  options.num_samples = config_.eval_samples;
  options.stop = [this] { return is_interrupted(); };
  // At most as many answers at a time as training has.
  options.slots =
      config_.slots > 0 ? config_.slots : config_.examples_per_step * config_.num_samples;
  const std::vector<uint64_t> seeds(indices.size(), static_cast<uint64_t>(config_.seed));
  runner_->refresh();
  const std::vector<RolloutGroup> groups = runner_->run(task, indices, seeds, options);
  if (is_interrupted()) return;  // half a measurement is none

  const int64_t n = config_.eval_samples;
  std::vector<double> pass(static_cast<size_t>(n), 0);
  double reward = 0;
  for (const RolloutGroup& group : groups) {
    const int64_t right = std::ranges::count_if(group.rewards, [](double r) { return r >= 1; });
    for (int64_t k = 1; k <= n; ++k) pass[static_cast<size_t>(k - 1)] += pass_at_k(n, right, k);
    for (const double r : group.rewards) reward += r / static_cast<double>(n);
  }
  const auto questions = static_cast<double>(std::max<size_t>(1, groups.size()));
  ordered_json record{{"eval/task", tasks_.eval_name},
                      {"eval/questions", groups.size()},
                      {"eval/reward", reward / questions}};
  ordered_json measures{{"eval_task", tasks_.eval_name}, {"eval_reward", reward / questions}};
  std::string line;
  for (int64_t k = 1; k <= n; ++k) {
    const std::string name = fmt::format("pass@{}", k);
    const double value = pass[static_cast<size_t>(k - 1)] / questions;
    record["eval/" + name] = measures[name] = value;
    line += fmt::format("{} {:.4f}  ", name, value);
  }
  log_info("step {:05} | {}on {}", step, line, tasks_.eval_name);
  ordered_json samples = ordered_json::array();
  for (size_t i = 0; i < groups.size() && std::ssize(samples) < kSamplesShown; ++i) {
    const std::string text = groups[i].rollouts[0].text(tokenizer_);
    log_info("step {:05} | reward {} for: {}", step, groups[i].rewards[0], one_line(text));
    samples.push_back({{"prompt", tokenizer_.decode(groups[i].prompt)},
                       {"answer", text},
                       {"reward", groups[i].rewards[0]}});
  }
  record["samples"] = std::move(samples);
  metrics().write(step, record);
  remember(measures);
}

void RlTraining::sum_up() const {
  if (rollout_seconds_ > 0) {
    log_info("rollouts {:.1f} s ({} tokens/s), updates {:.1f} s", rollout_seconds_,
             format_count(static_cast<double>(rollout_tokens_) / rollout_seconds_),
             update_seconds_);
  }
  if (runner_->left_out() > 0) {
    log_warning("{} questions did not fit the context beside --max-new-tokens {} and were left out",
                runner_->left_out(), config_.max_new_tokens);
  }
}

}  // namespace

StageResult train_rl(const RlConfig& config, const RlInput& input, const Tokenizer& tokenizer,
                     const StageRun& run) {
  return RlTraining(config, input, tokenizer, run).go();
}

}  // namespace nanochat
