#include "data/fetch.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <fstream>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "core/file.h"
#include "data/partial_file.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr std::string_view kParquetMagic = "PAR1";
constexpr std::string_view kZipMagic = "PK\x03\x04";
constexpr std::string_view kAgain = "run the same command again to go on where it stopped";
constexpr std::string_view kCheck = "check the address";

/// Why bytes cannot be a whole file of the kind that its name's ending says; empty: they may.
std::string why_not_of_kind(const fs::path& path, std::string_view first, std::string_view last,
                            int64_t size_bytes) {
  if (size_bytes == 0) return "it is empty";
  if (path.extension() == ".parquet") {
    if (first != kParquetMagic) return "it is no parquet file";
    if (last != kParquetMagic || size_bytes < 12) return "it is cut off: the end is no parquet's";
  }
  if (path.extension() == ".zip" && first != kZipMagic) return "it is no zip file";
  return "";
}

/// One attempt's outcome, other than success.
struct Setback {
  std::string why;
  bool may_retry = true;
  ExitCode code = ExitCode::kIo;
  std::chrono::seconds retry_after{0};
};

/// What an answer that is not the file means.
Setback refusal(int status, std::chrono::seconds retry_after) {
  switch (status) {
    case 404:
    case 410:
      return {.why = fmt::format("the server has no such file (HTTP {})", status),
              .may_retry = false,
              .code = ExitCode::kNotFound};
    case 401:
    case 403:
    case 451:
      return {.why = fmt::format("the server refuses to give it (HTTP {})", status),
              .may_retry = false};
    case 407:
      return {.why = "the proxy asks for a password (HTTP 407)", .may_retry = false};
    case 408:
    case 425:
    case 429:
      return {.why = fmt::format("the server asks for patience (HTTP {})", status),
              .retry_after = retry_after};
    default:
      return {.why = fmt::format("the server answers with HTTP {}", status),
              .may_retry = status >= 500,
              .retry_after = retry_after};
  }
}

/// "bytes 100-199/200" as (100, 200), "bytes */200" as (-1, 200); what it does not say is -1.
std::pair<int64_t, int64_t> parse_content_range(std::string_view text) {
  int64_t begin = -1, total = -1;
  if (!text.starts_with("bytes ")) return {begin, total};
  text.remove_prefix(6);
  std::from_chars(text.data(), text.data() + text.size(), begin);
  const size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    std::from_chars(text.data() + slash + 1, text.data() + text.size(), total);
  }
  return {begin, total};
}

/// A weak ETag promises too little for adding bytes to bytes.
std::string validator_of(const HttpHead& head) {
  if (!head.etag.empty() && !head.etag.starts_with("W/")) return head.etag;
  return head.last_modified;
}

void sleep_while(milliseconds time, const std::function<bool()>& keep_going) {
  const auto end = std::chrono::steady_clock::now() + time;
  for (auto now = std::chrono::steady_clock::now(); now < end && keep_going();
       now = std::chrono::steady_clock::now()) {
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(end - now, milliseconds(50)));
  }
}

/// Full jitter needs no seed that anyone could want again: processes that failed together should
/// not come back together.
double random_fraction() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  return std::uniform_real_distribution<double>(0, 1)(random);
}

/// Attempts until one succeeds, which `attempt` tells by returning no setback. `gained` says
/// whether the last one came so much further that counting begins again.
template <typename Attempt, typename Gained>
FetchResult with_attempts(const std::string& url, const DownloadOptions& options,
                          const FetchHooks& hooks, Attempt attempt, Gained gained) {
  for (int n = 1;; ++n) {
    const std::optional<Setback> setback = attempt();
    if (!setback) return {};
    if (!hooks.keep_going()) return {.end = FetchEnd::kStopped};
    if (gained()) n = 1;
    if (!setback->may_retry || n >= options.max_attempts) {
      const std::string attempts = n > 1 ? fmt::format(", after {} attempts", n) : "";
      return {.end = FetchEnd::kFailed,
              .code = setback->code,
              .why = fmt::format("{}: {}{}: {}", url, setback->why, attempts,
                                 setback->may_retry ? kAgain : kCheck)};
    }
    const milliseconds wait = retry_wait(options, n + 1, setback->retry_after, random_fraction());
    hooks.on_retry(setback->why, n + 1, wait);
    sleep_while(wait, hooks.keep_going);
    if (!hooks.keep_going()) return {.end = FetchEnd::kStopped};
  }
}

HttpRequest request_for(const std::string& url, const DownloadOptions& options) {
  return {.url = url,
          .connect_timeout = options.connect_timeout,
          .stall_timeout = options.stall_timeout,
          .min_bytes = options.min_bytes,
          .max_redirects = options.max_redirects};
}

Setback setback_of(const HttpResult& result) {
  return {.why = result.why, .may_retry = result.end == HttpEnd::kBroken};
}

/// The attempts at one file, with the .part between them.
class FileFetch final : public HttpReceiver {
 public:
  FileFetch(const Download& file, const DownloadOptions& options, const FetchHooks& hooks,
            PartialFile& part, FetchCounters& counters)
      : file_(file), options_(options), hooks_(hooks), part_(part), counters_(counters) {}

  /// None: the file is whole.
  std::optional<Setback> attempt(HttpClient& client) {
    bytes_before_ = part_.size_bytes();
    HttpRequest request = request_for(file_.url, options_);
    request.new_connection = std::exchange(tried_, true);
    const bool can_go_on = part_.size_bytes() > 0 && part_.source().url == file_.url &&
                           !part_.source().validator.empty();
    if (can_go_on) {
      request.range_begin = part_.size_bytes();
      request.if_range = part_.source().validator;
    }
    publish();
    status_ = 0;
    begins_elsewhere_ = already_whole_ = is_web_page_ = false;
    const HttpResult result = client.get(request, *this);
    if (result.end == HttpEnd::kBroken || result.end == HttpEnd::kImpossible) {
      return setback_of(result);
    }
    if (begins_elsewhere_) {
      part_.restart({});
      return Setback{.why = "the server sent another part than was asked for"};
    }
    if (is_web_page_) {
      return Setback{
          .why = "the server answers with a web page instead of the file (a login, a proxy?)",
          .may_retry = false};
    }
    if (already_whole_ || (result.end == HttpEnd::kComplete && is_success())) return verify();
    if (is_success()) return Setback{.why = "interrupted"};  // by keep_going()
    return refusal(status_, result.retry_after);
  }
  [[nodiscard]] bool gained() const {
    return part_.size_bytes() - bytes_before_ >= options_.min_progress_bytes;
  }

  bool on_head(const HttpHead& head) override {
    status_ = head.status;
    if (is_success() && head.content_type.starts_with("text/html")) {
      is_web_page_ = true;
      return false;
    }
    const auto [begin, total] = parse_content_range(head.content_range);
    if (status_ == 206) {
      const int64_t known = part_.source().total_bytes;
      const bool is_other = !head.etag.empty() && part_.source().validator.starts_with('"') &&
                            head.etag != part_.source().validator;  // If-Range was ignored
      begins_elsewhere_ =
          is_other || begin != part_.size_bytes() || (known >= 0 && total >= 0 && known != total);
      return !begins_elsewhere_;
    }
    if (status_ == 416) {  // nothing behind what we have: a process died before it renamed
      already_whole_ = total == part_.size_bytes() && total > 0;
      begins_elsewhere_ = !already_whole_;
      return false;
    }
    if (status_ != 200) return false;
    part_.restart({.url = file_.url,
                   .validator = validator_of(head),
                   .total_bytes = head.content_length >= 0 ? head.content_length : head.linked_size,
                   .sha256 = head.linked_sha256});
    bytes_before_ = 0;
    publish();
    return true;
  }

  void on_bytes(std::span<const std::byte> bytes) override {
    part_.append(bytes);
    counters_.received_bytes += std::ssize(bytes);
    publish();
  }
  bool keep_going() override { return hooks_.keep_going(); }

 private:
  [[nodiscard]] bool is_success() const { return status_ == 200 || status_ == 206; }

  void publish() {
    counters_.bytes = part_.size_bytes();
    const int64_t total = file_.size_bytes >= 0 ? file_.size_bytes : part_.source().total_bytes;
    counters_.total_bytes = std::max<int64_t>(total, 0);
  }

  /// The .part has all that the server had to send. Is that the file?
  std::optional<Setback> verify() {
    std::string why = why_wrong();
    if (why.empty()) return std::nullopt;
    part_.restart({});  // nothing in it can be trusted
    return Setback{.why = "what arrived is not right: " + why, .code = ExitCode::kBadData};
  }
  std::string why_wrong() {
    const int64_t size = part_.size_bytes();
    for (const int64_t expected : {file_.size_bytes, part_.source().total_bytes}) {
      if (expected >= 0 && size != expected) {
        return fmt::format("{} bytes where {} are expected", size, expected);
      }
    }
    const int64_t end = std::min<int64_t>(size, 4);
    if (std::string why = why_not_of_kind(file_.path, part_.bytes_at(0, end),
                                          part_.bytes_at(size - end, end), size);
        !why.empty()) {
      return why;
    }
    const std::string& expected = file_.sha256.empty() ? part_.source().sha256 : file_.sha256;
    if (expected.empty()) return "";
    const auto hash = make_sha256();
    part_.for_each_piece([&](std::span<const std::byte> bytes) { hash->update(bytes); });
    const std::string found = hash->finish();
    if (found == expected) return "";
    return fmt::format("its SHA-256 is {}..., not {}...", found.substr(0, 12),
                       expected.substr(0, 12));
  }

  const Download& file_;
  const DownloadOptions& options_;
  const FetchHooks& hooks_;
  PartialFile& part_;
  FetchCounters& counters_;
  int64_t bytes_before_ = 0;
  bool tried_ = false;
  int status_ = 0;
  bool begins_elsewhere_ = false, already_whole_ = false, is_web_page_ = false;
};

/// Keeps what it gets.
class TextFetch final : public HttpReceiver {
 public:
  TextFetch(const std::string& url, int64_t max_bytes, const FetchHooks& hooks)
      : url_(url), max_bytes_(max_bytes), hooks_(hooks) {}

  std::optional<Setback> attempt(HttpClient& client, const HttpRequest& request) {
    text_.clear();
    const HttpResult result = client.get(request, *this);
    if (result.end == HttpEnd::kBroken || result.end == HttpEnd::kImpossible) {
      return setback_of(result);
    }
    if (status_ != 200) return refusal(status_, result.retry_after);
    if (result.end == HttpEnd::kComplete) return std::nullopt;
    return Setback{.why = "interrupted"};
  }
  bool on_head(const HttpHead& head) override {
    status_ = head.status;
    return status_ == 200;
  }
  void on_bytes(std::span<const std::byte> bytes) override {
    if (std::ssize(text_) + std::ssize(bytes) > max_bytes_) {
      throw DataError("{}: the answer is longer than {} bytes: check the address", url_,
                      max_bytes_);
    }
    text_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  bool keep_going() override { return hooks_.keep_going(); }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  const std::string& url_;
  int64_t max_bytes_;
  const FetchHooks& hooks_;
  int status_ = 0;
  std::string text_;
};

}  // namespace

milliseconds retry_wait(const DownloadOptions& options, int attempt,
                        std::chrono::seconds retry_after, double random) {
  NC_CHECK(attempt >= 2, "attempt {}", attempt);
  const double cap =
      std::min(static_cast<double>(options.max_backoff.count()),
               static_cast<double>(options.backoff.count()) * std::exp2(std::min(attempt - 2, 60)));
  const auto asked = std::min<milliseconds>(retry_after, options.max_retry_after);
  return std::max(asked, milliseconds(std::llround(random * cap)));
}

std::string why_damaged(const fs::path& path, int64_t size_bytes) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const int64_t size = file ? static_cast<int64_t>(file.tellg()) : -1;
  if (size < 0) return "it cannot be read";
  if (size_bytes >= 0 && size != size_bytes) {
    return fmt::format("it has {} bytes where {} are expected", size, size_bytes);
  }
  std::string first(static_cast<size_t>(std::min<int64_t>(size, 4)), '\0'), last = first;
  file.seekg(0);
  file.read(first.data(), std::ssize(first));
  file.seekg(size - std::ssize(last));
  file.read(last.data(), std::ssize(last));
  if (!file) return "it cannot be read";
  return why_not_of_kind(path, first, last, size);
}

FetchResult fetch_file(HttpClient& client, const Download& file, const DownloadOptions& options,
                       const FetchHooks& hooks, FetchCounters& counters) {
  std::error_code error;
  const auto is_whole = [&] {
    return fs::exists(file.path, error) && why_damaged(file.path, file.size_bytes).empty();
  };
  const auto present = [&] {
    counters.total_bytes = counters.bytes = static_cast<int64_t>(fs::file_size(file.path, error));
    return FetchResult{.end = FetchEnd::kPresent};
  };
  if (is_whole()) return present();
  if (fs::is_directory(file.path, error)) throw_errno("write", file.path, EISDIR);
  if (fs::exists(file.path, error)) hooks.on_damaged(why_damaged(file.path, file.size_bytes));
  bool told = false;
  auto part = PartialFile::open(file.path, is_whole, [&] {
    if (!std::exchange(told, true)) hooks.on_wait();
    return hooks.keep_going();
  });
  if (!part) return hooks.keep_going() ? present() : FetchResult{.end = FetchEnd::kStopped};

  FileFetch fetch(file, options, hooks, *part, counters);
  FetchResult result = with_attempts(
      file.url, options, hooks, [&] { return fetch.attempt(client); },
      [&] { return fetch.gained(); });
  if (result.end == FetchEnd::kFetched) {
    part->commit();
  } else if (part->size_bytes() == 0) {
    part->discard();  // nothing to go on from
  }
  return result;
}

std::string fetch_text(HttpClient& client, const std::string& url, int64_t max_bytes,
                       const DownloadOptions& options, const FetchHooks& hooks) {
  TextFetch fetch(url, max_bytes, hooks);
  const HttpRequest request = request_for(url, options);
  const FetchResult result = with_attempts(
      url, options, hooks, [&] { return fetch.attempt(client, request); }, [] { return false; });
  if (result.end == FetchEnd::kFetched) return fetch.take();
  if (result.end == FetchEnd::kStopped) return "";
  if (result.code == ExitCode::kNotFound) throw NotFoundError("{}", result.why);
  throw IoError("{}", result.why);
}

}  // namespace nanochat
