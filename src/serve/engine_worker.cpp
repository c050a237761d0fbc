#include "serve/engine_worker.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <memory>

#include "core/error.h"
#include "core/log.h"

namespace nanochat::serve {
namespace {

using Clock = std::chrono::steady_clock;

/// Steps whose events the server's thread has not seen. Then the engine waits for it, so that
/// memory does not grow.
constexpr int kMaxUndelivered = 256;

}  // namespace

EngineWorker::EngineWorker(Engine& engine, int64_t max_waiting)
    : engine_(engine), max_in_flight_(engine.memory().slots + max_waiting) {}

EngineWorker::~EngineWorker() { stop(); }

void EngineWorker::start(Post post) {
  post_ = std::move(post);
  thread_ = std::jthread([this] { loop(); });
}

void EngineWorker::stop() {
  stopping_ = true;
  engine_.cancel(0);  // no request's: it only wakes the engine
  if (thread_.joinable()) thread_.join();
  running_.clear();
}

bool EngineWorker::has_room(int64_t n) const noexcept { return in_flight() + n <= max_in_flight_; }

int64_t EngineWorker::retry_after() const {
  const double rounds =
      static_cast<double>(in_flight()) / static_cast<double>(engine_.memory().slots);
  return std::clamp(static_cast<int64_t>(std::ceil(mean_seconds_ * rounds / 2)), int64_t{1},
                    int64_t{60});
}

EngineWorker::Key EngineWorker::submit(GenerationRequest request, GenerationListener listener) {
  const Key key = next_key_++;
  const RequestId id = engine_.submit(
      std::move(request),
      [this, key](const GenerationEvent& event) { outbox_.emplace_back(key, event); });
  running_.emplace(
      key, Running{.id = id,
                   .listener = std::make_shared<const GenerationListener>(std::move(listener)),
                   .start = Clock::now()});
  return key;
}

void EngineWorker::cancel(Key key) {
  const auto found = running_.find(key);
  if (found == running_.end() || !found->second.listener) return;
  engine_.cancel(found->second.id);
  found->second.listener = nullptr;
}

void EngineWorker::loop() {
  while (!stopping_) {
    bool any = true;
    try {
      any = engine_.step();
    } catch (const NumericError& error) {  // those whom it met have been told
      log_error("{}", error.what());
    } catch (...) {
      post_([error = std::current_exception()] { std::rethrow_exception(error); });
      return;
    }
    send();
    if (!any) engine_.wait(1);
  }
}

void EngineWorker::send() {
  if (outbox_.empty()) return;
  while (undelivered_ >= kMaxUndelivered && !stopping_) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ++undelivered_;
  const auto events = std::make_shared<Events>(std::move(outbox_));
  outbox_.clear();
  post_([this, events] {
    --undelivered_;
    deliver(*events);
  });
}

void EngineWorker::deliver(Events& events) {
  for (auto& [key, event] : events) {
    const auto found = running_.find(key);
    if (found == running_.end()) continue;
    // Kept while it is called: it may cancel its own request.
    const std::shared_ptr<const GenerationListener> listener = found->second.listener;
    if (event.finish) {
      const std::chrono::duration<double> time = Clock::now() - found->second.start;
      if (event.finish != FinishReason::kCancelled) {
        mean_seconds_ += 0.1 * (time.count() - mean_seconds_);
      }
      running_.erase(found);
    }
    if (listener) (*listener)(event);
  }
}

}  // namespace nanochat::serve
