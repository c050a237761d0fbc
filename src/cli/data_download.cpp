#include "cli/data_download.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/interrupt.h"
#include "cli/text_io.h"
#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "data/catalogue.h"
#include "data/downloader.h"
#include "data/unzip.h"

namespace nanochat::cli {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxListBytes = 1 << 20;

/// Tells the person who waits.
class ConsoleObserver final : public DownloadObserver {
 public:
  ConsoleObserver(std::string_view name, const InterruptGuard& interrupts)
      : interrupts_(interrupts),
        progress_(
            {.label = std::string(name), .unit = "B", .plain_every = std::chrono::seconds(60)}) {}

  void on_progress(const DownloadProgress& p) override {
    progress_.set_total(p.total_bytes - p.bytes + p.received_bytes);
    progress_.update(p.received_bytes, fmt::format("{}/{} files", p.files_done, n_files_));
  }
  void on_retry(const Download& file, std::string_view why, int attempt,
                std::chrono::milliseconds wait) override {
    log_warning("{}: {}: attempt {} in {:.1f} s", file.url, why, attempt,
                std::chrono::duration<double>(wait).count());
  }
  void on_wait(const Download& file) override {
    log_info("{}: another process fetches it: waiting", file.path.string());
  }
  void on_damaged(const Download& file, std::string_view why) override {
    log_warning("{}: {}: fetching it again", file.path.string(), why);
  }
  bool keep_going() override {
    try {
      interrupts_.check();
      return true;
    } catch (const Interrupted&) {
      return false;
    }
  }
  void set_files(size_t n) { n_files_ = n; }
  void finish() { progress_.finish(); }

 private:
  const InterruptGuard& interrupts_;
  Progress progress_;
  size_t n_files_ = 0;
};

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

std::string bytes_text(int64_t bytes) { return format_count(static_cast<double>(bytes)) + "B"; }

void check_shards(const Dataset& dataset, const DataDownloadOptions& options) {
  if (dataset.kind != DatasetKind::kShards && options.n_shards != 0) {
    throw UsageError("{} comes whole: leave -n away", dataset.name);
  }
  if (dataset.kind == DatasetKind::kShards && options.n_shards == 0) {
    throw UsageError("{} has {} shards, about {} in all: say how many with -n (-1: all)",
                     dataset.name, dataset.n_shards, bytes_text(dataset.approximate_bytes));
  }
}

/// A hint only: the sizes are approximate, and files may be there already.
void warn_if_too_large(const Dataset& dataset, size_t n_files, const fs::path& folder) {
  fs::path existing = fs::absolute(folder);
  std::error_code error;
  while (!fs::exists(existing, error) && existing.has_relative_path()) {
    existing = existing.parent_path();
  }
  const fs::space_info space = fs::space(existing, error);
  if (error) return;
  const int64_t all = std::max<int64_t>(dataset.n_shards, 1);
  const int64_t wanted = dataset.kind == DatasetKind::kShards
                             ? dataset.approximate_bytes / all * static_cast<int64_t>(n_files)
                             : dataset.approximate_bytes;
  const auto free = static_cast<int64_t>(space.available);
  if (wanted > free) {
    log_warning("{}: {} free, and about {} in all to come", folder.string(), bytes_text(free),
                bytes_text(wanted));
  }
}

[[noreturn]] void throw_as(ExitCode code, const std::string& text) {
  switch (code) {
    case ExitCode::kNotFound:
      throw NotFoundError("{}", text);
    case ExitCode::kBadData:
      throw DataError("{}", text);
    case ExitCode::kOutOfMemory:
      throw OutOfMemoryError("{}", text);
    default:
      throw IoError("{}", text);
  }
}

/// All of them are named; the exit code is theirs if they agree, else that of input and output.
[[noreturn]] void throw_failures(const DownloadReport& report, size_t n_files) {
  const auto& failures = report.failures;
  ExitCode code = failures.front().code;
  if (failures.size() == 1 && report.not_tried == 0) throw_as(code, failures.front().why);
  for (const DownloadFailure& failure : failures) {
    log_warning("{}", failure.why);
    if (failure.code != code) code = ExitCode::kIo;
  }
  const std::string rest =
      report.not_tried > 0 ? fmt::format(", {} of them not tried any more", report.not_tried) : "";
  throw_as(code, fmt::format("{} of {} files are missing{}: the same command fetches what is "
                             "missing",
                             std::ssize(failures) + report.not_tried, n_files, rest));
}

/// Beside each zip file, what is in it; also of one that an earlier process had no time for.
void unpack(const std::vector<Download>& files) {
  for (const Download& file : files) {
    const fs::path folder = fs::path(file.path).replace_extension();
    if (file.path.extension() == ".zip" && !fs::exists(folder)) unzip(file.path, folder);
  }
}

}  // namespace

void run_data_download(const CommonOptions& common, const DataDownloadOptions& options) {
  const Dataset& dataset = find_dataset(options.name);
  check_shards(dataset, options);
  const fs::path folder =
      options.out.empty() ? dataset_folder(common, dataset.name) : fs::path(options.out);
  const std::string url = dataset_url(dataset, options.base_url, environment("HF_ENDPOINT"));
  const DownloadOptions how{.jobs = static_cast<int>(options.jobs)};

  const InterruptGuard interrupts;
  ConsoleObserver observer(dataset.name, interrupts);
  const auto fetch_list = [&](const std::string& list_url) {
    std::string list = download_text(list_url, kMaxListBytes, how, observer);
    interrupts.check();
    return list;
  };
  const auto files = dataset_downloads(dataset, url, folder, options.n_shards, fetch_list);
  warn_if_too_large(dataset, files.size(), folder);
  observer.set_files(files.size());
  const DownloadReport report = download(files, how, observer);
  observer.finish();
  if (report.stopped) log_info("what has come stays: the same command goes on from there");
  interrupts.check();
  if (!report.failures.empty()) throw_failures(report, files.size());
  unpack(files);

  int64_t bytes = 0;
  std::error_code error;
  for (const Download& file : files) bytes += static_cast<int64_t>(fs::file_size(file.path, error));
  if (common.json) {
    print_json({{"name", dataset.name},
                {"url", url},
                {"path", folder.string()},
                {"files", files.size()},
                {"bytes", bytes},
                {"fetched_files", report.fetched},
                {"fetched_bytes", report.fetched_bytes}});
    return;
  }
  fmt::print("{} files, {}, in {} ({} fetched now)\n", files.size(), bytes_text(bytes),
             folder.string(), report.fetched);
}

}  // namespace nanochat::cli
