#include "data/downloader.h"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

#include "core/file.h"
#include "data/fetch.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

constexpr auto kTick = std::chrono::milliseconds(100);

/// The files still to do, and what the workers found; the thread that called watches.
class Pool {
 public:
  Pool(std::span<const Download> files, const DownloadOptions& options, DownloadObserver& observer)
      : files_(files), options_(options), observer_(observer), counters_(files.size()) {}

  DownloadReport run() {
    const auto n = std::min<size_t>(static_cast<size_t>(std::max(options_.jobs, 1)), files_.size());
    std::vector<std::unique_ptr<HttpClient>> clients;
    for (size_t i = 0; i < n; ++i) clients.push_back(make_http_client());
    running_ = n;
    std::vector<std::jthread> workers;
    for (auto& client : clients) workers.emplace_back([this, &client] { work(*client); });
    watch();
    workers.clear();  // waits for them
    std::ranges::sort(report_.failures, {}, &DownloadFailure::index);
    report_.stopped = stop_ && !gave_up_;
    if (gave_up_) {
      report_.not_tried =
          std::ssize(files_) - report_.fetched - report_.present - std::ssize(report_.failures);
    }
    for (const FetchCounters& c : counters_) report_.fetched_bytes += c.received_bytes;
    return std::move(report_);
  }

 private:
  void watch() {
    std::unique_lock lock(mutex_);
    while (running_ > 0) {
      one_ended_.wait_for(lock, kTick, [this] { return running_ == 0; });
      const int64_t done = report_.fetched + report_.present + std::ssize(report_.failures);
      lock.unlock();
      if (!observer_.keep_going()) stop_ = true;
      observer_.on_progress(progress(done));
      lock.lock();
    }
  }

  [[nodiscard]] DownloadProgress progress(int64_t files_done) const {
    DownloadProgress p{.files_done = files_done};
    int64_t known = 0;
    for (const FetchCounters& c : counters_) {
      p.received_bytes += c.received_bytes;
      p.bytes += c.bytes;
      p.total_bytes += c.total_bytes;
      if (c.total_bytes > 0) ++known;
    }
    if (known > 0) {
      const double mean = static_cast<double>(p.total_bytes) / static_cast<double>(known);
      p.total_bytes += static_cast<int64_t>(mean * static_cast<double>(std::ssize(files_) - known));
    }
    return p;
  }

  void work(HttpClient& client) {
    for (;;) {
      size_t index = 0;
      {
        const std::lock_guard lock(mutex_);
        if (stop_ || next_ == files_.size()) break;
        index = next_++;
      }
      fetch(client, index);
    }
    const std::lock_guard lock(mutex_);
    --running_;
    one_ended_.notify_one();
  }

  void fetch(HttpClient& client, size_t index) {
    const Download& file = files_[index];
    const FetchHooks hooks{
        .keep_going = [this] { return !stop_; },
        .on_retry =
            [&](std::string_view why, int attempt, std::chrono::milliseconds wait) {
              const std::lock_guard lock(mutex_);
              observer_.on_retry(file, why, attempt, wait);
            },
        .on_wait =
            [&] {
              const std::lock_guard lock(mutex_);
              observer_.on_wait(file);
            },
        .on_damaged =
            [&](std::string_view why) {
              const std::lock_guard lock(mutex_);
              observer_.on_damaged(file, why);
            }};
    try {
      FetchResult result = fetch_file(client, file, options_, hooks, counters_[index]);
      const std::lock_guard lock(mutex_);
      if (result.end == FetchEnd::kFetched) ++report_.fetched;
      if (result.end == FetchEnd::kPresent) ++report_.present;
      if (result.end == FetchEnd::kFetched) failures_in_a_row_ = 0;
      if (result.end != FetchEnd::kFailed) return;
      report_.failures.push_back(
          {.index = index, .code = result.code, .why = std::move(result.why)});
      if (++failures_in_a_row_ >= options_.max_failures_in_a_row) give_up();
    } catch (const Error& e) {  // the disk: the next file would fare no better
      const std::lock_guard lock(mutex_);
      report_.failures.push_back({.index = index, .code = e.exit_code(), .why = e.what()});
      give_up();
    } catch (const std::bad_alloc&) {
      const std::lock_guard lock(mutex_);
      report_.failures.push_back(
          {.index = index, .code = ExitCode::kOutOfMemory, .why = "out of memory"});
      give_up();
    }
  }
  void give_up() { gave_up_ = stop_ = true; }

  std::span<const Download> files_;
  const DownloadOptions& options_;
  DownloadObserver& observer_;
  std::vector<FetchCounters> counters_;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;  // of all that follows, and of the observer
  std::condition_variable one_ended_;
  size_t next_ = 0, running_ = 0;
  int failures_in_a_row_ = 0;
  bool gave_up_ = false;
  DownloadReport report_;
};

}  // namespace

DownloadReport download(std::span<const Download> files, const DownloadOptions& options,
                        DownloadObserver& observer) {
  for (const Download& file : files) {
    const fs::path folder = file.path.parent_path();
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) throw_errno("create", folder, error.value());
  }
  return Pool(files, options, observer).run();
}

std::string download_text(const std::string& url, int64_t max_bytes, const DownloadOptions& options,
                          DownloadObserver& observer) {
  const auto client = make_http_client();
  const Download file{.url = url, .path = {}};
  const FetchHooks hooks{
      .keep_going = [&] { return observer.keep_going(); },
      .on_retry =
          [&](std::string_view why, int attempt, std::chrono::milliseconds wait) {
            observer.on_retry(file, why, attempt, wait);
          },
      .on_wait = [] {},
      .on_damaged = [](std::string_view) {}};
  return fetch_text(*client, url, max_bytes, options, hooks);
}

}  // namespace nanochat
