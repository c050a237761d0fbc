/// Files from the network, side by side, each whole or not there.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace nanochat {

struct Download {
  std::string url;
  std::filesystem::path path;  ///< where it goes; its folder is made when it is missing
  int64_t size_bytes = -1;     ///< -1: not known beforehand
  std::string sha256{};        ///< 64 hexadecimal digits; empty: not known beforehand
};

struct DownloadOptions {
  int jobs = 4;          ///< files at a time
  int max_attempts = 6;  ///< in a row that bring less than min_progress_bytes
  int64_t min_progress_bytes = 1 << 20;
  std::chrono::milliseconds connect_timeout{15'000};
  /// A connection that brings fewer than min_bytes in this time is given up.
  std::chrono::milliseconds stall_timeout{30'000};
  int64_t min_bytes = 16 << 10;
  /// Between attempts: a random time up to backoff * 2^(attempt - 1), at most max_backoff; and no
  /// less than the server asks for (Retry-After), of which at most max_retry_after is granted.
  std::chrono::milliseconds backoff{1'000};
  std::chrono::milliseconds max_backoff{60'000};
  std::chrono::milliseconds max_retry_after{120'000};
  int max_redirects = 8;
  /// Files that fail one after the other, with none that succeeds between, until the rest is not
  /// tried any more: the server is away, or the address wrong.
  int max_failures_in_a_row = 8;
};

struct DownloadProgress {
  int64_t received_bytes = 0;  ///< through the network
  int64_t bytes =
      0;  ///< on the disk: of the files being fetched, those fetched, those there already
  int64_t total_bytes = 0;  ///< of them, and of the files to come as if they were as long as these
  int64_t files_done = 0;
};

/// Called from several threads, one at a time, except on_progress and keep_going.
class DownloadObserver {
 public:
  virtual ~DownloadObserver() = default;
  /// On the thread that called download(), about ten times a second.
  virtual void on_progress(const DownloadProgress& progress) = 0;
  /// Before the next attempt; `attempt` counts from 2.
  virtual void on_retry(const Download& file, std::string_view why, int attempt,
                        std::chrono::milliseconds wait) = 0;
  /// Another process fetches this file; we wait for it.
  virtual void on_wait(const Download& file) = 0;
  /// A file that was there is not whole, and is fetched again.
  virtual void on_damaged(const Download& file, std::string_view why) = 0;
  /// Asked on the thread that called. False: stop, and keep what has been fetched so far.
  [[nodiscard]] virtual bool keep_going() = 0;
};

struct DownloadFailure {
  size_t index = 0;  ///< into the files as given
  ExitCode code = ExitCode::kIo;
  std::string why;  ///< names the file or its address, and says what to do
};

struct DownloadReport {
  int64_t fetched = 0;                    ///< files
  int64_t present = 0;                    ///< files that were there already
  int64_t fetched_bytes = 0;              ///< that came through the network
  std::vector<DownloadFailure> failures;  ///< in the order of the files
  int64_t not_tried = 0;                  ///< files given up because of the failures of others
  bool stopped = false;                   ///< by keep_going()
};

/// Fetches the files that are not there yet. Bytes go to <path>.part, from where this or a later
/// call goes on (a range request with If-Range); a server that ignores ranges, or whose file has
/// changed, begins again. A file gets its name when it is as long as the server said, has the
/// SHA-256 that is known beforehand or that the Hugging Face hub told, looks like what its ending
/// says (.parquet: the magic at both ends; .zip), and has been flushed to the disk. Two processes
/// may fetch the same file: one waits for the other.
///
/// What fails for one file is in the report and stops no other, but a full disk or missing
/// permission stops all. Throws UsageError when HTTP cannot be loaded; IoError when a folder cannot
/// be made.
[[nodiscard]] DownloadReport download(std::span<const Download> files,
                                      const DownloadOptions& options, DownloadObserver& observer);

/// A small file, as a text. With the same attempts; throws NotFoundError, IoError, or DataError
/// when it has more than max_bytes. Empty when stopped by keep_going().
[[nodiscard]] std::string download_text(const std::string& url, int64_t max_bytes,
                                        const DownloadOptions& options, DownloadObserver& observer);

/// How long to wait before attempt number `attempt` (from 2): `random` in [0, 1) of the backoff,
/// and no less than the server asks for.
[[nodiscard]] std::chrono::milliseconds retry_wait(const DownloadOptions& options, int attempt,
                                                   std::chrono::seconds retry_after, double random);

/// Why a file that is there cannot be a whole one of its kind and of this length (-1: any); empty
/// when nothing speaks against it. Reads its ends only.
[[nodiscard]] std::string why_damaged(const std::filesystem::path& path, int64_t size_bytes);

}  // namespace nanochat
