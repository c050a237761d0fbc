/// What a chat model is taught and examined with: lists of conversations, some with a judge.
///
/// A task is a list of examples; an example is a conversation that ends with the reference answer
/// of the assistant. Training renders it whole. An examination renders it without its last message,
/// lets the model answer, and asks the task whether the answer is right.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/conversation.h"

namespace nanochat {

/// How a model is examined.
enum class EvalType : uint8_t {
  kNone,         ///< for training only: there is no judge
  kGenerative,   ///< the model writes an answer; passed to evaluate()
  kCategorical,  ///< the letter to which the model gives the most probability; likewise
};

struct TaskExample {
  Conversation conversation;           ///< the last message is the assistant's
  std::vector<std::string> letters{};  ///< categorical: what may be answered ("A", "B", ...)
  std::string subject{};               ///< what kind of question it is; empty: not told
};

/// Every member may be called from several threads at a time.
class Task {
 public:
  virtual ~Task() = default;

  /// As on the command line and in reports: "GSM8K", "ARC-Easy".
  [[nodiscard]] virtual std::string name() const = 0;
  [[nodiscard]] virtual int64_t size() const = 0;
  /// 0 <= i < size(), else UsageError. The same i is always the same example. Throws DataError,
  /// naming file and line, for a row that is malformed.
  [[nodiscard]] virtual TaskExample example(int64_t i) const = 0;

  [[nodiscard]] virtual EvalType eval_type() const { return EvalType::kNone; }
  /// Whether `response`, an assistant's message as text, answers example i. A response that makes
  /// no sense is wrong, never an error. Only where eval_type() is not kNone (UsageError).
  [[nodiscard]] virtual bool evaluate(int64_t i, std::string_view response) const;
  /// Whether the task can be trained on by reinforcement.
  [[nodiscard]] virtual bool has_reward() const { return eval_type() == EvalType::kGenerative; }
  /// What reinforcement learning maximises, in [0, 1]. Default: evaluate() as 0 or 1.
  [[nodiscard]] virtual double reward(int64_t i, std::string_view response) const;
  /// Accuracy of guessing, for centred accuracy.
  [[nodiscard]] virtual double random_baseline() const { return 0; }
};

using TaskPtr = std::shared_ptr<const Task>;

/// For implementations of example(): throws UsageError unless 0 <= i < task.size().
void check_example_index(const Task& task, int64_t i);

/// Every step-th example from start, before stop: example i is the task's start + i * step. A stop
/// behind the end is the end. Judged as the task judges. Throws UsageError for start < 0, start
/// behind the end, stop < start, step < 1.
[[nodiscard]] TaskPtr slice(TaskPtr task, int64_t start, std::optional<int64_t> stop = {},
                            int64_t step = 1);

/// Tasks taken together; each example is judged by its own. The eval_type is the one that all of
/// them share, else kNone; there is a reward if all have one.
class TaskList : public Task {
 public:
  struct Place {
    int64_t task, index;
    friend bool operator==(const Place&, const Place&) = default;
  };
  /// Whose example i is. Throws as example().
  [[nodiscard]] virtual Place place(int64_t i) const = 0;
  [[nodiscard]] const std::vector<TaskPtr>& tasks() const noexcept { return tasks_; }

  [[nodiscard]] std::string name() const override;  ///< the names, joined by +
  [[nodiscard]] int64_t size() const override { return first_.back(); }
  [[nodiscard]] TaskExample example(int64_t i) const override;
  [[nodiscard]] EvalType eval_type() const override;
  [[nodiscard]] bool evaluate(int64_t i, std::string_view response) const override;
  [[nodiscard]] bool has_reward() const override;
  [[nodiscard]] double reward(int64_t i, std::string_view response) const override;

 protected:
  explicit TaskList(std::vector<TaskPtr> tasks);
  /// The same for example i of all tasks one after the other.
  [[nodiscard]] Place place_in_order(int64_t i) const;

 private:
  std::vector<TaskPtr> tasks_;
  std::vector<int64_t> first_;  // of each task, and the end
};

/// All examples of all tasks, shuffled once: the list (task number, index), in order, by Python's
/// random.Random(seed).shuffle, so that the order is upstream's. A task that is given twice counts
/// twice.
class TaskMixture final : public TaskList {
 public:
  explicit TaskMixture(std::vector<TaskPtr> tasks, uint32_t seed = 42);
  [[nodiscard]] Place place(int64_t i) const override;

 private:
  std::vector<uint32_t> order_;
};

/// One task after the other: a curriculum.
class TaskSequence final : public TaskList {
 public:
  explicit TaskSequence(std::vector<TaskPtr> tasks) : TaskList(std::move(tasks)) {}
  [[nodiscard]] Place place(int64_t i) const override { return place_in_order(i); }
};

}  // namespace nanochat
