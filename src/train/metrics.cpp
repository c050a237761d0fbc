#include "train/metrics.h"

#include <cerrno>
#include <chrono>
#include <string>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "core/error.h"
#include "core/file.h"
#include "core/mapped_file.h"
#include "train/append.h"

namespace nanochat {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kMaxBytes = int64_t{4} << 30;

double seconds_since_1970() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// The bytes up to the end of the last complete line.
int64_t end_of_lines(std::string_view text) {
  const size_t newline = text.rfind('\n');
  return newline == std::string_view::npos ? 0 : static_cast<int64_t>(newline) + 1;
}

}  // namespace

MetricsWriter::MetricsWriter(const RunFolder& run, std::optional<int64_t> resumed_at)
    : path_(run.path() / kMetricsFileName), events_(run.path()) {
  std::error_code ignored;
  const bool exists = std::filesystem::exists(path_, ignored);
  fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd_ < 0) throw_errno("write", path_, errno);
  try {
    if (!exists && !resumed_at) return;
    const StoragePtr old = map_file(path_);
    const int64_t end = end_of_lines(
        {static_cast<const char*>(old->data()), static_cast<size_t>(old->size_bytes())});
    if (::ftruncate(fd_, end) != 0) throw_errno("write", path_, errno);
    const int64_t step = resumed_at.value_or(-1);
    if (end > 0) append({{"step", step}, {"time", seconds_since_1970()}, {"resumed", true}});
    events_.restart_at(seconds_since_1970(), step + 1);
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

MetricsWriter::~MetricsWriter() { ::close(fd_); }

void MetricsWriter::append(const Json& line) {
  append_at_once(fd_, line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n", path_);
}

void MetricsWriter::write(int64_t step, const Json& values) {
  const double now = seconds_since_1970();
  Json line{{"step", step}, {"time", now}};
  std::vector<EventFile::Scalar> scalars;
  for (const auto& [key, value] : values.items()) {
    NC_CHECK(!line.contains(key), "the key '{}' is ours", key);
    line[key] = value;
    if (value.is_number()) scalars.emplace_back(key, value.get<double>());
  }
  append(line);
  if (!scalars.empty()) events_.add_scalars(now, step, scalars);
}

void MetricsWriter::sync() {
  if (::fdatasync(fd_) != 0) throw_errno("flush", path_, errno);
  events_.sync();
}

std::map<int64_t, Json> read_metrics(const std::filesystem::path& file) {
  const std::string text = read_file(file, kMaxBytes);
  std::map<int64_t, Json> records;
  std::string_view rest = std::string_view(text).substr(0, end_of_lines(text));
  for (int64_t number = 1; !rest.empty(); ++number) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() + 1);
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object() || !json.contains("step") || !json["step"].is_number_integer()) {
      throw DataError("{}: line {} is no record of a step: mend or remove it", file.string(),
                      number);
    }
    const auto step = json["step"].get<int64_t>();
    if (json.contains("resumed")) {
      records.erase(records.upper_bound(step), records.end());
      continue;
    }
    Json& record = records[step];
    for (const auto& [key, value] : json.items()) record[key] = value;
  }
  return records;
}

}  // namespace nanochat
