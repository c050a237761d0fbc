#include "tasks/task.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "tasks/python_random.h"

namespace nanochat {
namespace {

class TaskSlice final : public Task {
 public:
  TaskSlice(TaskPtr task, int64_t start, int64_t stop, int64_t step)
      : task_(std::move(task)),
        start_(start),
        step_(step),
        size_((stop - start + step - 1) / step) {}

  std::string name() const override { return task_->name(); }
  int64_t size() const override { return size_; }
  TaskExample example(int64_t i) const override { return task_->example(index(i)); }
  EvalType eval_type() const override { return task_->eval_type(); }
  bool evaluate(int64_t i, std::string_view response) const override {
    return task_->evaluate(index(i), response);
  }
  bool has_reward() const override { return task_->has_reward(); }
  double reward(int64_t i, std::string_view response) const override {
    return task_->reward(index(i), response);
  }
  double random_baseline() const override { return task_->random_baseline(); }

 private:
  int64_t index(int64_t i) const {
    check_example_index(*this, i);
    return start_ + i * step_;
  }

  TaskPtr task_;
  int64_t start_, step_, size_;
};

}  // namespace

bool Task::evaluate(int64_t /*i*/, std::string_view /*response*/) const {
  throw UsageError("{} is for training only: it has no judge of answers", name());
}

double Task::reward(int64_t i, std::string_view response) const {
  return evaluate(i, response) ? 1 : 0;
}

void check_example_index(const Task& task, int64_t i) {
  if (i < 0 || i >= task.size()) {
    throw UsageError("{}: no example {}: it has {}, counted from 0", task.name(), i, task.size());
  }
}

TaskPtr slice(TaskPtr task, int64_t start, std::optional<int64_t> stop, int64_t step) {
  const int64_t size = task->size();
  const int64_t end = std::min(stop.value_or(size), size);
  if (start < 0 || start > end || step < 1 || stop.value_or(size) < start) {
    throw UsageError("{}: no slice from {} to {} by {} of {} examples", task->name(), start,
                     stop ? std::to_string(*stop) : "the end", step, size);
  }
  if (start == 0 && end == size && step == 1) return task;
  return std::make_shared<TaskSlice>(std::move(task), start, end, step);
}

TaskList::TaskList(std::vector<TaskPtr> tasks) : tasks_(std::move(tasks)), first_{0} {
  for (const TaskPtr& task : tasks_) first_.push_back(first_.back() + task->size());
}

TaskList::Place TaskList::place_in_order(int64_t i) const {
  check_example_index(*this, i);
  const auto behind = std::ranges::upper_bound(first_, i);  // skips tasks without examples
  return {behind - first_.begin() - 1, i - *(behind - 1)};
}

std::string TaskList::name() const {
  std::string names;
  for (const TaskPtr& task : tasks_) {
    if (!names.empty()) names += '+';
    names += task->name();
  }
  return names;
}

TaskExample TaskList::example(int64_t i) const {
  const auto [task, index] = place(i);
  return tasks_[static_cast<size_t>(task)]->example(index);
}

EvalType TaskList::eval_type() const {
  if (tasks_.empty()) return EvalType::kNone;
  const EvalType type = tasks_.front()->eval_type();
  const bool is_shared =
      std::ranges::all_of(tasks_, [type](const TaskPtr& t) { return t->eval_type() == type; });
  return is_shared ? type : EvalType::kNone;
}

bool TaskList::evaluate(int64_t i, std::string_view response) const {
  const auto [task, index] = place(i);
  return tasks_[static_cast<size_t>(task)]->evaluate(index, response);
}

bool TaskList::has_reward() const {
  return !tasks_.empty() &&
         std::ranges::all_of(tasks_, [](const TaskPtr& task) { return task->has_reward(); });
}

double TaskList::reward(int64_t i, std::string_view response) const {
  const auto [task, index] = place(i);
  return tasks_[static_cast<size_t>(task)]->reward(index, response);
}

TaskMixture::TaskMixture(std::vector<TaskPtr> tasks, uint32_t seed) : TaskList(std::move(tasks)) {
  NC_CHECK(size() <= UINT32_MAX, "a mixture of {} examples", size());
  order_.resize(static_cast<size_t>(size()));
  std::iota(order_.begin(), order_.end(), 0U);
  PythonRandom(seed).shuffle(order_);
}

TaskList::Place TaskMixture::place(int64_t i) const {
  check_example_index(*this, i);
  return place_in_order(order_[static_cast<size_t>(i)]);
}

}  // namespace nanochat
