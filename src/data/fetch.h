/// One file from the network: the attempts. Behind download().
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "data/downloader.h"
#include "data/http_module.h"

namespace nanochat {

/// What one fetch tells while it goes on; read by other threads.
struct FetchCounters {
  std::atomic<int64_t> bytes = 0;        ///< of the file, on the disk
  std::atomic<int64_t> total_bytes = 0;  ///< of the file; 0: not known
  std::atomic<int64_t> received_bytes = 0;
};

struct FetchHooks {
  std::function<bool()> keep_going;
  std::function<void(std::string_view why, int attempt, std::chrono::milliseconds wait)> on_retry;
  std::function<void()> on_wait;
  std::function<void(std::string_view why)> on_damaged;
};

enum class FetchEnd : uint8_t { kFetched, kPresent, kStopped, kFailed };

struct FetchResult {
  FetchEnd end = FetchEnd::kFetched;
  ExitCode code = ExitCode::kOk;  ///< of kFailed
  std::string why{};              ///< names the address
};

/// kFailed is the network's or the server's fault. Throws IoError and the like for ours: the disk.
[[nodiscard]] FetchResult fetch_file(HttpClient& client, const Download& file,
                                     const DownloadOptions& options, const FetchHooks& hooks,
                                     FetchCounters& counters);

/// Empty when stopped. Throws NotFoundError, IoError or DataError.
[[nodiscard]] std::string fetch_text(HttpClient& client, const std::string& url, int64_t max_bytes,
                                     const DownloadOptions& options, const FetchHooks& hooks);

}  // namespace nanochat
