/// A task out of a list, and a small model with a tokenizer: what the stages' tests train.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "model/gpt.h"
#include "tasks/task.h"
#include "tokenizer/small_vocabulary.h"
#include "train/checkpoint.h"

namespace nanochat::test {

inline const Tokenizer& small_tokenizer() {
  static const Tokenizer tokenizer(small_vocabulary());
  return tokenizer;
}

inline Conversation asked_and_answered(std::string question, std::string answer) {
  return {{{Role::kUser, std::move(question)}, {Role::kAssistant, std::move(answer)}}};
}

class ToyTask final : public Task {
 public:
  using Reward = std::function<double(int64_t, std::string_view)>;
  explicit ToyTask(std::vector<Conversation> conversations, Reward reward = {})
      : conversations_(std::move(conversations)), reward_(std::move(reward)) {}

  std::string name() const override { return "Toy"; }
  int64_t size() const override { return std::ssize(conversations_); }
  TaskExample example(int64_t i) const override {
    return {.conversation = conversations_.at(static_cast<size_t>(i))};
  }
  EvalType eval_type() const override { return reward_ ? EvalType::kGenerative : EvalType::kNone; }
  bool evaluate(int64_t i, std::string_view response) const override {
    return reward_(i, response) >= 1;
  }
  double reward(int64_t i, std::string_view response) const override {
    return reward_(i, response);
  }

 private:
  std::vector<Conversation> conversations_;
  Reward reward_;
};

/// n conversations of different lengths.
inline std::shared_ptr<ToyTask> counting_task(int64_t n, ToyTask::Reward reward = {}) {
  std::vector<Conversation> conversations;
  for (int64_t i = 0; i < n; ++i) {
    conversations.push_back(asked_and_answered(
        fmt::format("what follows {}?", i),
        fmt::format("{}{}", i + 1, std::string(static_cast<size_t>(7 * i % 23), '.'))));
  }
  return std::make_shared<ToyTask>(std::move(conversations), std::move(reward));
}

inline GptConfig chat_config(int64_t sequence_len = 64) {
  return {.sequence_len = sequence_len,
          .vocab_size = small_tokenizer().vocab_size(),
          .n_layer = 1,
          .n_head = 2,
          .n_kv_head = 2,
          .n_embd = 32};
}

}  // namespace nanochat::test
