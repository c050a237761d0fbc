#include "train/run_folder.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/error.h"
#include "core/file.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kLockFileName = "run.lock";
constexpr std::string_view kStepPrefix = "step_";
constexpr size_t kStepDigits = 6;  // at least; upstream's names

/// The process id in the lock file; empty when it cannot be read.
std::string holder_of(int lock_fd) {
  std::string pid(20, '\0');
  const ssize_t n = ::pread(lock_fd, pid.data(), pid.size(), 0);
  pid.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return pid.substr(0, pid.find_first_not_of("0123456789"));
}

/// What a killed save or prune leaves: ".step_000100.tmp-<pid>", ".step_000100.old-<pid>"; and a
/// killed AtomicFile: ".<name>.<pid>-<n>.tmp".
bool is_leftover(std::string_view name) {
  if (name.starts_with(".step_")) {
    return name.find(".tmp-") != std::string_view::npos ||
           name.find(".old-") != std::string_view::npos;
  }
  return name.starts_with('.') && name.ends_with(".tmp");
}

void remove_folder(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) throw_errno("remove", path, error.value());
}

/// is_being_trained() of another process may hold the lock for a moment.
constexpr auto kLookersPatience = std::chrono::milliseconds(200);

bool lock_within(int fd, std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK || std::chrono::steady_clock::now() > deadline) return false;
    const int error = errno;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    errno = error;
  }
  return true;
}

}  // namespace

RunFolder::RunFolder(const fs::path& path) : path_(path) {
  std::error_code error;
  fs::create_directories(path_, error);
  if (error) throw_errno("make the folder", path_, error.value());
  lock();
  try {
    remove_leftovers();
  } catch (...) {
    ::close(lock_fd_);
    throw;
  }
}

RunFolder::~RunFolder() {
  // The file stays: between removing it and another's locking it, two could hold "the" lock.
  ::close(lock_fd_);
}

void RunFolder::lock() {
  const fs::path file = path_ / kLockFileName;
  lock_fd_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (lock_fd_ < 0) throw_errno("open", file, errno);
  if (!lock_within(lock_fd_, kLookersPatience)) {
    const int error = errno;
    const std::string holder = holder_of(lock_fd_);
    ::close(lock_fd_);
    if (error != EWOULDBLOCK) throw_errno("lock", file, error);
    throw IoError(
        "{}: process {} is training into this folder: wait for it, stop it, or choose another "
        "--run",
        path_.string(), holder.empty() ? "of an unknown number" : holder);
  }
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(lock_fd_, 0) != 0 ||
      ::pwrite(lock_fd_, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    const int error = errno;
    ::close(lock_fd_);
    throw_errno("write", file, error);
  }
}

void RunFolder::remove_leftovers() const {
  // Whoever made them does not hold the lock any more, so it is dead, whatever runs under its
  // number now.
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path_, error)) {
    if (is_leftover(entry.path().filename().string())) remove_folder(entry.path());
  }
  if (error) throw_errno("read the folder", path_, error.value());
}

bool is_being_trained(const fs::path& run_folder) {
  const int fd = ::open((run_folder / kLockFileName).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return false;
  const bool is_free = ::flock(fd, LOCK_SH | LOCK_NB) == 0;
  const bool is_held = !is_free && errno == EWOULDBLOCK;
  ::close(fd);  // and with it the lock
  return is_held;
}

std::string checkpoint_name(int64_t step) {
  return fmt::format("{}{:0{}}", kStepPrefix, step, kStepDigits);
}

std::optional<int64_t> parse_checkpoint_name(std::string_view name) {
  if (!name.starts_with(kStepPrefix)) return std::nullopt;
  const std::string_view digits = name.substr(kStepPrefix.size());
  int64_t step = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
  // Going back and forth refuses signs and other numbers of zeros.
  if (error != std::errc() || end != digits.data() + digits.size() || step < 0 ||
      checkpoint_name(step) != name) {
    return std::nullopt;
  }
  return step;
}

std::vector<int64_t> list_checkpoints(const fs::path& run_folder) {
  std::vector<int64_t> steps;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(run_folder, error)) {
    const auto step = parse_checkpoint_name(entry.path().filename().string());
    std::error_code ignored;
    if (step && fs::exists(entry.path() / kManifestFileName, ignored)) steps.push_back(*step);
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw_errno("read the folder", run_folder, error.value());
  }
  std::ranges::sort(steps);
  return steps;
}

std::optional<int64_t> latest_checkpoint(const fs::path& run_folder) {
  const std::vector<int64_t> steps = list_checkpoints(run_folder);
  if (steps.empty()) return std::nullopt;
  return steps.back();
}

void remove_checkpoint(const RunFolder& run, int64_t step) {
  const std::string name = checkpoint_name(step);
  const fs::path old = run.path() / fmt::format(".{}.old-{}", name, ::getpid());
  if (::rename((run.path() / name).c_str(), old.c_str()) != 0) {
    throw_errno("rename", run.path() / name, errno);
  }
  remove_folder(old);
}

void prune_checkpoints(const RunFolder& run, int64_t keep, std::span<const int64_t> spare) {
  const std::vector<int64_t> steps = list_checkpoints(run.path());
  const auto n_steps = static_cast<int64_t>(steps.size());
  if (keep <= 0) return;
  for (int64_t i = 0; i < n_steps - keep; ++i) {
    const int64_t step = steps[static_cast<size_t>(i)];
    if (std::ranges::find(spare, step) != spare.end()) continue;
    remove_checkpoint(run, step);
  }
}

}  // namespace nanochat
