#include "engine/tools/sandbox.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <poll.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.h"
#include "engine/tools/sandbox_process.h"
#include "engine/tools/sandbox_syscalls.h"
#include "tokenizer/utf8.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;
using namespace sandbox;  // of sandbox_process.h

/// What each descriptor of the new process is. Python closes kCodeFd before the code begins, bwrap
/// the last two before Python does; so the code has its standard streams, and kReportFd.
enum : int { kCodeFd = 3, kReportFd, kFilterFd, kInfoFd, kFirstClosedFd };

static_assert(kFirstClosedFd <= kLowestFd);

constexpr size_t kTokenBytes = 32;
constexpr int64_t kMaxReportBytes = 65536;

/// Runs in the sandbox before and after the code. Its arguments are the limits of memory, processor
/// time, file size and processes. It reports in records of the token, a letter and a text: S, the
/// code starts; D, it is done; M, a MemoryError, or E, any other exception.
///
/// The limits are set here and not before bwrap starts, because RLIMIT_NPROC counts the processes
/// of a user in a user namespace: in here, those of this sandbox alone. A limit of 1 byte on core
/// files is what keeps the kernel from starting a core handler as well (core(5)). posix is the part
/// of os that is compiled in; os itself takes a millisecond to import.
constexpr const char* kBootstrap = R"py(
import posix, resource, sys

def set_limits(memory_bytes, cpu_s, file_bytes, processes):
    for kind, soft, hard in (
        (resource.RLIMIT_AS, memory_bytes, memory_bytes),
        (resource.RLIMIT_CPU, cpu_s, cpu_s + 1),
        (resource.RLIMIT_FSIZE, file_bytes, file_bytes),
        (resource.RLIMIT_NPROC, processes + 1, processes + 1),
        (resource.RLIMIT_NOFILE, 64, 64),
        (resource.RLIMIT_CORE, 1, 1),
    ):
        highest = resource.getrlimit(kind)[1]
        if highest != resource.RLIM_INFINITY:
            soft, hard = min(soft, highest), min(hard, highest)
        resource.setrlimit(kind, (soft, hard))

def describe(error):
    try:
        message = str(error)
    except BaseException:
        message = ""
    name = type(error).__name__
    return (f"{name}: {message}" if message else name).encode("utf-8", "replace")[:2000]

def run(write=posix.write, close=posix.close):
    with open(3, "rb") as file:
        token = file.read(32)
        code = file.read()
    def report(record):
        try:
            write(4, token + record)
        except OSError:
            pass  # a fork of the code's, which must not report in its parent's name
    posix.set_inheritable(4, False)
    posix.register_at_fork(after_in_child=lambda: close(4))
    main = sys.modules["__main__"] = type(sys)("__main__")
    sys.argv[:] = [""]
    spare = bytearray(1 << 20)  # to report with when there is no memory left
    report(b"S")
    try:
        exec(compile(code, "<code>", "exec"), main.__dict__)
    except MemoryError:
        del spare
        report(b"MMemoryError")
        raise SystemExit("MemoryError")
    except SystemExit as error:
        report(b"E" + describe(error))
        raise
    except BaseException as error:
        report(b"E" + describe(error))
        error.__traceback__ = error.__traceback__.tb_next  # without this frame
        sys.__excepthook__(type(error), error, error.__traceback__)
        raise SystemExit(1)
    report(b"D")

set_limits(*map(int, sys.argv[1:]))
run()
)py";

int milliseconds_until(steady_clock::time_point deadline) {
  const double left =
      std::chrono::duration<double, std::milli>(deadline - steady_clock::now()).count();
  return static_cast<int>(std::ceil(std::clamp(left, 0.0, 1e9)));
}

std::string make_token() {
  std::string token(kTokenBytes, '\0');
  if (::getrandom(token.data(), token.size(), 0) != std::ssize(token)) {
    fail("get random bytes", errno);
  }
  return token;
}

/// Not by $PATH: the program that confines others must not come from a folder that they can write.
std::string find_program(std::string_view name) {
  for (const char* const folder : {"/usr/bin", "/bin", "/usr/local/bin"}) {
    const std::string path = fmt::format("{}/{}", folder, name);
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

/// The interpreter itself, in /usr, which is all that a sandbox sees of the system. Scripts that
/// look for one (pyenv's shims) are none.
std::string find_python() {
  for (const char* const path : {"/usr/bin/python3", "/usr/local/bin/python3"}) {
    std::error_code error;
    const fs::path real = fs::canonical(path, error);
    if (error || !real.string().starts_with("/usr/")) continue;
    char magic[4] = {};
    std::ifstream(real, std::ios::binary).read(magic, sizeof magic);
    if (std::string_view(magic, 4) ==
        "\x7f"
        "ELF")
      return real.string();
  }
  return "";
}

/// The words of the text; no argument has spaces.
template <typename... Args>
void append(std::vector<std::string>& arguments, fmt::format_string<Args...> text, Args&&... args) {
  std::istringstream words(fmt::format(text, std::forward<Args>(args)...));
  arguments.insert(arguments.end(), std::istream_iterator<std::string>(words), {});
}

/// The folders that /usr has on a system with a merged /usr, and its own otherwise.
void append_system_folders(std::vector<std::string>& arguments) {
  append(arguments, "--ro-bind /usr /usr");
  for (const std::string_view name : {"bin", "lib", "lib32", "lib64"}) {
    const fs::path path = fs::path("/") / name;
    std::error_code error;
    if (fs::is_symlink(path, error)) {
      append(arguments, "--symlink usr/{0} /{0}", name);
    } else if (fs::is_directory(path, error)) {
      append(arguments, "--ro-bind /{0} /{0}", name);
    }
  }
}

/// The last line that has something in it.
std::string last_line(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n\v\f";
  const size_t end = text.find_last_not_of(kBlank);
  if (end == std::string_view::npos) return "";
  const size_t before = text.find_last_of('\n', end);
  return std::string(text.substr(before + 1, end - before));  // npos + 1 is 0
}

std::string describe_status(std::optional<int> status) {
  if (!status) return "Execution failed";
  const int code = WIFEXITED(*status) ? WEXITSTATUS(*status) : 128 + WTERMSIG(*status);
  if (code > 128 && code < 128 + 65) {  // so bwrap passes on that a signal ended it
    return fmt::format("Execution failed (killed by signal {})", code - 128);
  }
  return fmt::format("Execution failed (status {} before the end of the code)", code);
}

void check_limits(const SandboxLimits& limits) {
  const auto check = [](bool holds, std::string_view what) {
    if (!holds) throw UsageError("sandbox: {}", what);
  };
  check(limits.timeout_s > 0 && limits.timeout_s <= 1e6, "the timeout is > 0 and <= 1e6 seconds");
  check(limits.memory_bytes >= int64_t{32} << 20, "Python needs 32 MiB of memory at least");
  check(limits.cpu_s >= 1, "one second of processor time is the least");
  check(limits.file_bytes >= 0 && limits.output_bytes >= 0, "sizes are not negative");
  check(limits.tmp_bytes >= 1, "/tmp needs a size: 0 would be without limit");
  check(limits.processes >= 1, "the code itself is one process");
}

}  // namespace

PythonSandbox::PythonSandbox(const SandboxLimits& limits) : limits_(limits) {
  check_limits(limits);
  bwrap_ = find_program("bwrap");
  if (bwrap_.empty()) {
    throw DeviceError(
        "sandbox: no bwrap in /usr/bin: install bubblewrap (apt-get install bubblewrap)");
  }
  python_ = find_python();
  if (python_.empty()) {
    throw DeviceError(
        "sandbox: no Python interpreter in /usr/bin: install python3 (apt-get install python3)");
  }
  if (::geteuid() == 0) {
    setpriv_ = find_program("setpriv");
    if (setpriv_.empty()) {
      throw DeviceError(
          "sandbox: no setpriv in /usr/bin, with which root gives up its rights: install "
          "util-linux (apt-get install util-linux), or do not run as root");
    }
  }
  filter_ = syscall_filter();
  const ExecutionResult trial =
      run("import socket\n"
          "try:\n"
          "    socket.socket()\n"
          "    print('open')\n"
          "except PermissionError:\n"
          "    print('confined')\n");
  if (!trial.success || trial.out != "confined\n") {
    throw DeviceError(
        "sandbox: a first program did not end as it should: {}{}{}: see docs/sandbox.md",
        trial.error.value_or("it is not confined"), trial.out, trial.err);
  }
}

ExecutionResult PythonSandbox::run(std::string_view code) const {
  const auto deadline = steady_clock::now() + std::chrono::duration_cast<steady_clock::duration>(
                                                  std::chrono::duration<double>(limits_.timeout_s));
  std::vector<std::string> arguments;
  if (!setpriv_.empty()) {
    // Root would keep its capabilities on the host's files, and no limit of processes binds it.
    append(arguments,
           "{} --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all "
           "--bounding-set=-all",
           setpriv_);
  }
  append(arguments,
         "{} --unshare-user --unshare-ipc --unshare-pid --unshare-net --unshare-uts "
         "--unshare-cgroup --disable-userns --uid 65534 --gid 65534 --hostname sandbox "
         "--cap-drop ALL --new-session --die-with-parent --clearenv "
         "--setenv PATH /usr/bin:/bin --setenv HOME /tmp --setenv LANG C.UTF-8 "
         "--setenv OMP_NUM_THREADS 1",
         bwrap_);
  append_system_folders(arguments);
  // No /proc: Python does not need it. /dev/shm is where semaphores of multiprocessing are.
  append(arguments,
         "--ro-bind-try /etc/ld.so.cache /etc/ld.so.cache "
         "--dev-bind /dev/null /dev/null --dev-bind /dev/urandom /dev/urandom "
         "--symlink urandom /dev/random --symlink /tmp /dev/shm "
         "--size {} --tmpfs /tmp --chdir /tmp --remount-ro /",
         limits_.tmp_bytes);
  append(arguments, "--seccomp {} --info-fd {} -- {} -I -S -B -X utf8 -c", +kFilterFd, +kInfoFd,
         python_);
  arguments.emplace_back(kBootstrap);
  append(arguments, "{} {} {} {}", limits_.memory_bytes, limits_.cpu_s, limits_.file_bytes,
         limits_.processes);

  const std::string token = make_token();
  Pipe out_pipe = make_pipe(), err_pipe = make_pipe();
  Pipe report_pipe = make_pipe(), info_pipe = make_pipe();
  const UniqueFd null = open_null();
  const UniqueFd code_file = make_file({token, code}), filter_file = make_file({filter_});
  const int fds[] = {null.get(),
                     out_pipe.write_end.get(),
                     err_pipe.write_end.get(),
                     code_file.get(),
                     report_pipe.write_end.get(),
                     filter_file.get(),
                     info_pipe.write_end.get()};
  static_assert(std::size(fds) == kFirstClosedFd);
  Bwrap bwrap(std::move(arguments), fds);
  for (Pipe* const pipe : {&out_pipe, &err_pipe, &report_pipe, &info_pipe}) {
    pipe->write_end.reset();
  }
  Receiver out(std::move(out_pipe.read_end), limits_.output_bytes);
  Receiver err(std::move(err_pipe.read_end), limits_.output_bytes);
  Receiver report(std::move(report_pipe.read_end), kMaxReportBytes);
  Receiver info(std::move(info_pipe.read_end), kMaxReportBytes);
  const std::array<Receiver*, 4> receivers{&out, &err, &report, &info};

  ExecutionResult result;
  for (;;) {
    pollfd polled[5] = {{bwrap.pidfd(), POLLIN, 0}};
    for (size_t i = 0; i < receivers.size(); ++i) polled[i + 1] = {receivers[i]->fd(), POLLIN, 0};
    const int n = ::poll(polled, std::size(polled), milliseconds_until(deadline));
    if (n < 0 && errno != EINTR) fail("wait for the sandbox", errno);
    if (n <= 0) {
      for (pollfd& p : polled) p.revents = 0;
    }
    for (size_t i = 0; i < receivers.size(); ++i) {
      if (polled[i + 1].revents != 0) receivers[i]->receive();
    }
    if (polled[4].revents != 0) bwrap.find_child(info.bytes());
    if (polled[0].revents != 0) break;
    if (steady_clock::now() >= deadline) {
      result.timeout = true;
      break;
    }
  }
  const std::optional<int> status = bwrap.end();
  // Nobody writes any more, so what is left fits into a pipe.
  for (Receiver* const receiver : receivers) receiver->receive();

  result.out = out.text();
  result.err = err.text();
  result.truncated = out.truncated() || err.truncated();
  const std::string_view records = report.bytes();
  if (result.timeout) {
    result.error = "Execution timed out (process killed)";
    return result;
  }
  if (!records.starts_with(token + "S")) {
    throw DeviceError("sandbox: cannot be set up: {}: see docs/sandbox.md, \"What is needed\"",
                      result.err.empty() ? describe_status(status) : last_line(result.err));
  }
  const size_t at = records.find(token, kTokenBytes + 1);
  const std::string_view last =
      at == std::string_view::npos ? "" : records.substr(at + kTokenBytes);
  if (last == "D" && status == 0) {
    result.success = true;
  } else if (last.starts_with("E") || last.starts_with("M")) {
    result.error = utf8::replace_invalid(last.substr(1));
    result.memory_exceeded = last.starts_with("M");
  } else if (status && WIFEXITED(*status) && WEXITSTATUS(*status) == 128 + SIGXCPU) {
    result.error = "Processor time used up (process killed)";
    result.timeout = true;
  } else {
    result.error = last_line(result.err);
    if (result.error->empty()) result.error = describe_status(status);
  }
  return result;
}

}  // namespace nanochat
