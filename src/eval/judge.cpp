#include "eval/judge.h"

#include <utility>

namespace nanochat {

Judge::Judge(const Task& task, int n_threads) : task_(task) {
  for (int i = 0; i < n_threads; ++i) threads_.emplace_back([this] { work(); });
}

Judge::~Judge() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  submitted_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Judge::submit(Answer answer) {
  const std::lock_guard lock(mutex_);
  queue_.push_back(std::move(answer));
  submitted_.notify_one();
}

std::vector<Judge::Answer> Judge::take_judged(bool wait) {
  std::unique_lock lock(mutex_);
  if (wait) judged_.wait(lock, [this] { return !done_.empty() || error_; });
  if (error_) std::rethrow_exception(error_);
  return std::exchange(done_, {});
}

void Judge::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    submitted_.wait(lock, [this] { return stop_ || !queue_.empty(); });
    if (stop_) return;
    Answer answer = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    std::exception_ptr error;
    try {
      answer.correct = task_.evaluate(answer.index, answer.text);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    if (error) error_ = error;
    done_.push_back(std::move(answer));
    judged_.notify_one();
  }
}

}  // namespace nanochat
