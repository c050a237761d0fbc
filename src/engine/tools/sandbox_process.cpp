#include "engine/tools/sandbox_process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <fstream>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "core/error.h"
#include "tokenizer/utf8.h"

namespace nanochat::sandbox {
namespace {

UniqueFd move_up(UniqueFd fd) {
  const int moved = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, kLowestFd);
  if (moved < 0) fail("open a file", errno);
  return UniqueFd(moved);
}

UniqueFd open_process(pid_t pid) {
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

/// The fourth field of /proc/PID/stat; the second, a name in parentheses, may hold anything.
std::optional<pid_t> parent_of(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string line;
  std::getline(file, line);
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos || name_end + 4 >= line.size()) return std::nullopt;
  pid_t parent = 0;
  std::from_chars(line.data() + name_end + 4, line.data() + line.size(), parent);
  return parent;
}

}  // namespace

void fail(std::string_view what, int error) {
  throw IoError("sandbox: cannot {}: {}", what, std::strerror(error));
}

Pipe make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail("make a pipe", errno);
  Pipe pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  if (::fcntl(pipe.read_end.get(), F_SETFL, O_NONBLOCK) != 0) fail("make a pipe", errno);
  pipe.write_end = move_up(std::move(pipe.write_end));
  return pipe;
}

UniqueFd make_file(std::initializer_list<std::string_view> parts) {
  UniqueFd fd(::memfd_create("nanochat", MFD_CLOEXEC));
  if (!fd.is_open()) fail("make a file in memory", errno);
  for (std::string_view part : parts) {
    while (!part.empty()) {
      const ssize_t n = ::write(fd.get(), part.data(), part.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail("write a file in memory", errno);
      part.remove_prefix(static_cast<size_t>(n));
    }
  }
  ::lseek(fd.get(), 0, SEEK_SET);
  return move_up(std::move(fd));
}

UniqueFd open_null() {
  UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!fd.is_open()) fail("open /dev/null", errno);
  return move_up(std::move(fd));
}

void Receiver::receive() {
  std::array<char, 65536> buffer;
  for (int i = 0; i < 16 && fd_.is_open(); ++i) {
    const ssize_t n = ::read(fd_.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      fd_.reset();
      return;
    }
    const int64_t room = max_bytes_ - std::ssize(bytes_);
    bytes_.append(buffer.data(), static_cast<size_t>(std::min<int64_t>(n, room)));
    truncated_ |= n > room;
  }
}

std::string Receiver::text() const {
  std::string_view whole = bytes_;
  if (truncated_) whole.remove_suffix(utf8::incomplete_tail(whole));
  return utf8::replace_invalid(whole);
}

Bwrap::Bwrap(std::vector<std::string> arguments, std::span<const int> fds) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  for (int i = 0; i < static_cast<int>(fds.size()); ++i) {
    ::posix_spawn_file_actions_adddup2(&actions, fds[static_cast<size_t>(i)], i);
  }
  ::posix_spawn_file_actions_addclosefrom_np(&actions, static_cast<int>(fds.size()));
  // Our threads' masks and handlers are no business of its; nor is a Ctrl-C in the terminal.
  sigset_t none, all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setflags(
      &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  // Not ours, which may hold secrets: /proc/1/environ would show it to the sandbox.
  std::string path = "PATH=/usr/bin:/bin";
  char* environment[] = {path.data(), nullptr};
  const int error = ::posix_spawn(&pid_, argv[0], &actions, &attributes, argv.data(), environment);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) fail("start bubblewrap", error);
  pidfd_ = open_process(pid_);
  if (!pidfd_.is_open()) {
    const int why = errno;
    end();
    throw DeviceError("sandbox: pidfd_open: {}: Linux 5.3 or later is needed", std::strerror(why));
  }
}

void Bwrap::find_child(std::string_view info) {
  constexpr std::string_view kKey = "\"child-pid\": ";
  const size_t at = info.find(kKey);
  if (child_.is_open() || info.find('}') == std::string_view::npos ||
      at == std::string_view::npos) {
    return;
  }
  pid_t pid = 0;
  std::from_chars(info.data() + at + kKey.size(), info.data() + info.size(), pid);
  UniqueFd child = open_process(pid);
  // It may be gone, and its number another's, whom we must not kill.
  if (parent_of(pid) == pid_) child_ = std::move(child);
}

std::optional<int> Bwrap::end() noexcept {
  if (pid_ <= 0) return status_;
  if (child_.is_open()) {
    ::syscall(SYS_pidfd_send_signal, child_.get(), SIGKILL, nullptr, 0);
    pollfd gone{child_.get(), POLLIN, 0};
    while (::poll(&gone, 1, 5000) < 0 && errno == EINTR) {
    }
    // bwrap now passes the status on and ends by itself.
    pollfd ended{pidfd_.get(), POLLIN, 0};
    while (::poll(&ended, 1, 1000) < 0 && errno == EINTR) {
    }
  }
  ::kill(pid_, SIGKILL);  // not yet waited for, so it is still its number; --die-with-parent
  int status = 0;
  pid_t waited;
  do {
    waited = ::waitpid(pid_, &status, 0);
  } while (waited < 0 && errno == EINTR);
  if (waited == pid_) status_ = status;
  pid_ = -1;
  return status_;
}

}  // namespace nanochat::sandbox
