/// Judges answers on threads of its own while a model writes the next ones: some tasks run programs
/// for it, which takes seconds.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tasks/task.h"

namespace nanochat {

class Judge {
 public:
  struct Answer {
    size_t place = 0, sample = 0;  ///< the caller's, to know it again
    int64_t index = 0;             ///< of the problem in the task
    std::string text{};
    bool correct = false;  ///< the verdict
  };
  /// The task must outlive it.
  Judge(const Task& task, int n_threads);
  /// Waits for the answers that are being judged; drops those that wait.
  ~Judge();
  Judge(const Judge&) = delete;
  Judge& operator=(const Judge&) = delete;

  void submit(Answer answer);
  /// Those judged since the last call, in no promised order; with `wait`, one at least, of which
  /// some must be submitted and not taken. Throws what the task has thrown.
  [[nodiscard]] std::vector<Answer> take_judged(bool wait);

 private:
  void work();

  const Task& task_;
  std::mutex mutex_;  // of all that follows
  std::condition_variable submitted_, judged_;
  std::deque<Answer> queue_;
  std::vector<Answer> done_;
  std::exception_ptr error_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace nanochat
