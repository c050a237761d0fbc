#include "serve/runs_api.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"
#include "core/file.h"
#include "serve/api_error.h"
#include "serve/json_fields.h"
#include "train/metrics.h"
#include "train/run_folder.h"

namespace nanochat::serve {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int64_t kTailBytes = int64_t{64} << 10;      // in which the last steps stand
constexpr int64_t kMaxStateBytes = int64_t{16} << 20;  // of a checkpoint's state.json

/// A regular file, open for reading; a pipe of that name is not waited for.
class OpenFile {
 public:
  explicit OpenFile(const fs::path& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (fd_ < 0 || ::fstat(fd_, &status_) == 0) {
      if (fd_ >= 0 && S_ISREG(status_.st_mode)) return;
    }
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }
  [[nodiscard]] int64_t size() const noexcept { return status_.st_size; }
  [[nodiscard]] double modified() const noexcept {
    return static_cast<double>(status_.st_mtim.tv_sec) +
           static_cast<double>(status_.st_mtim.tv_nsec) * 1e-9;
  }
  /// At most n bytes from `offset` on.
  [[nodiscard]] std::string read(int64_t offset, int64_t n) const {
    std::string bytes(static_cast<size_t>(n), '\0');
    size_t got = 0;
    while (got < bytes.size()) {
      const ssize_t r = ::pread(fd_, bytes.data() + got, bytes.size() - got,
                                static_cast<off_t>(offset + static_cast<int64_t>(got)));
      if (r < 0 && errno == EINTR) continue;
      if (r <= 0) break;
      got += static_cast<size_t>(r);
    }
    bytes.resize(got);
    return bytes;
  }

 private:
  int fd_ = -1;
  struct stat status_ {};
};

/// Steps finished, by the last lines of a file; as read_metrics would say, but for the time.
int64_t steps_done(std::string_view tail) {
  int64_t done = 0;
  tail = tail.substr(0, tail.rfind('\n') + 1);
  while (!tail.empty()) {
    const std::string_view line = tail.substr(0, tail.find('\n'));
    tail.remove_prefix(line.size() + 1);
    if (json_depth(line) > kMaxJsonDepth) continue;
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object() || !json.contains("step")) continue;
    const std::optional<int64_t> step = integer_of(json["step"]);
    if (!step || *step < -1 || *step == std::numeric_limits<int64_t>::max()) continue;
    if (json.contains("resumed")) {
      done = std::max<int64_t>(*step, 0);  // that many steps are in the checkpoint
    } else if (json.contains("train/loss")) {
      done = *step + 1;  // a step is counted from 0
    } else {
      done = std::max(done, *step);  // an evaluation before step `step`
    }
  }
  return done;
}

std::vector<std::string> plain_folders(const fs::path& path) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator i(path, error), end; !error && i != end; i.increment(error)) {
    std::error_code ignored;
    std::string name = i->path().filename().string();
    if (is_plain_name(name) && i->is_directory(ignored)) names.push_back(std::move(name));
  }
  std::ranges::sort(names);
  return names;
}

std::optional<int64_t> planned_steps(const fs::path& checkpoint) {
  try {
    const Json state = Json::parse(read_file(checkpoint / "state.json", kMaxStateBytes), nullptr,
                                   /*allow_exceptions=*/false);
    if (!state.is_object() || !state.contains("num_iterations")) return {};
    return integer_of(state["num_iterations"]);
  } catch (const Error&) {  // pruned meanwhile
    return {};
  }
}

}  // namespace

bool is_plain_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= 255 && name[0] != '.' &&
         name.find_first_of(std::string_view("/\0", 2)) == std::string_view::npos;
}

Json RunsFolder::list() {
  Json runs = Json::array();
  for (const std::string& stage : plain_folders(path_)) {
    for (const std::string& tag : plain_folders(path_ / stage)) {
      if (std::optional<Json> run = describe(stage, tag)) runs.push_back(std::move(*run));
    }
  }
  return runs;
}

std::optional<Json> RunsFolder::describe(const std::string& stage, const std::string& tag) {
  const fs::path folder = path_ / stage / tag;
  const OpenFile file(folder / kMetricsFileName);
  if (!file.is_open()) return {};
  Known& known = known_[{stage, tag}];
  if (known.size != file.size()) {
    known.size = file.size();
    const int64_t begin = std::max<int64_t>(0, file.size() - kTailBytes);
    std::string tail = file.read(begin, file.size() - begin);
    if (begin > 0) tail.erase(0, tail.find('\n') + 1);  // the middle of a line
    known.step = steps_done(tail);
  }
  try {
    const std::optional<int64_t> checkpoint = latest_checkpoint(folder);
    if (checkpoint.value_or(-1) != known.checkpoint) {
      known.checkpoint = checkpoint.value_or(-1);
      known.num_iterations =
          checkpoint ? planned_steps(folder / checkpoint_name(*checkpoint)) : std::nullopt;
    }
  } catch (const Error&) {  // the folder may not be read: its metrics may
  }
  return Json{
      {"stage", stage},
      {"tag", tag},
      {"step", known.step},
      {"num_iterations", known.num_iterations ? Json(*known.num_iterations) : Json(nullptr)},
      {"updated", file.modified()},
      {"running", is_being_trained(folder)}};
}

std::string RunsFolder::metrics(std::string_view stage, std::string_view tag,
                                int64_t offset) const {
  const ApiError missing(404, "there is no such run", "run_not_found");
  if (!is_plain_name(stage) || !is_plain_name(tag)) throw missing;
  const OpenFile file(path_ / stage / tag / kMetricsFileName);
  if (!file.is_open()) throw missing;
  const bool reset = offset > file.size();
  const int64_t begin = reset ? 0 : offset;
  const std::string bytes = file.read(begin, std::min(file.size() - begin, kMaxMetricsBytes));
  return metrics_answer(bytes, begin, reset, begin + std::ssize(bytes) >= file.size());
}

std::string metrics_answer(std::string_view bytes, int64_t offset, bool reset, bool is_end) {
  const size_t newline = bytes.rfind('\n');
  size_t end = newline == std::string_view::npos ? 0 : newline + 1;
  // A line as long as all that is read at a time is nobody's: its pieces are passed over.
  if (end == 0 && !is_end) end = bytes.size();
  std::string_view rest = bytes.substr(0, end);
  std::string lines;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    const size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string_view::npos || line[first] != '{') continue;
    if (json_depth(line) > kMaxJsonDepth || has_zero_byte(line) || !Json::accept(line)) continue;
    if (!lines.empty()) lines += ',';
    lines += line;
  }
  return fmt::format(R"({{"offset":{},"lines":[{}],"reset":{},"more":{}}})",
                     offset + static_cast<int64_t>(end), lines, reset, !is_end);
}

}  // namespace nanochat::serve
