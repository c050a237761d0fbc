/// The thread that steps the engine, and its way to and from the server's thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/engine.h"

namespace nanochat::serve {

/// What a step of the engine gave goes to the server's thread in one piece, so that the engine
/// never waits for a client. All but the constructor and the destructor is called on the server's
/// thread, and there listeners are called.
class EngineWorker {
 public:
  using Post = std::function<void(std::function<void()>)>;

  /// The engine must outlive this. At most max_waiting requests wait for a slot.
  EngineWorker(Engine& engine, int64_t max_waiting);
  ~EngineWorker();
  EngineWorker(const EngineWorker&) = delete;
  EngineWorker& operator=(const EngineWorker&) = delete;

  /// `post` brings work to the server's thread; from any thread. What the engine throws, but for
  /// numbers that are not finite, is thrown there, and the worker has ended.
  void start(Post post);
  /// Listeners are dropped; nothing is called any more.
  void stop();

  /// Whether n more requests may be submitted.
  [[nodiscard]] bool has_room(int64_t n) const noexcept;
  /// Seconds after which it is worth to try again, from 1 to 60, by how long requests took.
  [[nodiscard]] int64_t retry_after() const;
  /// Of submit(). Requests that have not ended.
  [[nodiscard]] int64_t in_flight() const noexcept { return std::ssize(running_); }
  [[nodiscard]] int64_t max_in_flight() const noexcept { return max_in_flight_; }

  using Key = uint64_t;
  /// Throws UsageError as Engine::submit().
  Key submit(GenerationRequest request, GenerationListener listener);
  /// The listener hears no more. The slot is free within a step.
  void cancel(Key key);

  [[nodiscard]] EngineStats stats() const { return engine_.stats(); }
  [[nodiscard]] const EngineMemory& memory() const noexcept { return engine_.memory(); }

 private:
  using Events = std::vector<std::pair<Key, GenerationEvent>>;
  struct Running {
    RequestId id;
    std::shared_ptr<const GenerationListener> listener;  // none: cancelled
    std::chrono::steady_clock::time_point start;
  };

  void loop();
  void send();
  void deliver(Events& events);

  Engine& engine_;
  const int64_t max_in_flight_;
  Post post_;
  std::jthread thread_;
  std::atomic<bool> stopping_ = false;
  std::atomic<int> undelivered_ = 0;
  Events outbox_;  // of the engine's thread

  // Of the server's thread.
  std::unordered_map<Key, Running> running_;
  Key next_key_ = 1;
  double mean_seconds_ = 1;  // of a request, the latest counting most
};

}  // namespace nanochat::serve
