#include "serve/access_log.h"

#include <cerrno>
#include <chrono>
#include <cmath>
#include <ctime>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "core/file.h"
#include "core/log.h"
#include "serve/api_error.h"

namespace nanochat::serve {
namespace {

using Json = nlohmann::ordered_json;

/// "2026-01-31T09:05:00.123Z".
std::string timestamp() {
  using std::chrono::milliseconds;
  const auto now =
      std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  const auto time = static_cast<std::time_t>(now / 1000);
  std::tm utc{};
  ::gmtime_r(&time, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, now % 1000);
}

}  // namespace

AccessLog::AccessLog(const std::filesystem::path& path) {
  if (path.empty()) return;
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (fd_ < 0) throw_errno("write the access log", path, errno);
}

AccessLog::~AccessLog() {
  if (fd_ >= 0) ::close(fd_);
}

void AccessLog::write(const Exchange& exchange, const ExchangeResult& result) {
  const HttpRequest& request = exchange.request();
  Json line{{"time", timestamp()},        {"id", exchange.id},
            {"peer", request.peer},       {"method", request.method},
            {"path", request.path},       {"status", result.status},
            {"bytes", result.sent_bytes}, {"seconds", std::round(result.seconds * 1e6) / 1e6}};
  if (!result.complete) line["client_gone"] = true;
  line.update(exchange.notes);
  write_line(line);
}

void AccessLog::write_unreadable(std::string_view peer, int status) {
  write_line({{"time", timestamp()}, {"peer", peer}, {"status", status}, {"unreadable", true}});
}

void AccessLog::write_line(const Json& line) {
  const std::string text = to_text(line);
  if (fd_ < 0) return log_info("{}", text);
  const std::string bytes = text + "\n";
  [[maybe_unused]] const ssize_t ignored = ::write(fd_, bytes.data(), bytes.size());
}

}  // namespace nanochat::serve
