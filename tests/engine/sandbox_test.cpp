/// Programs that mean harm, and ordinary ones. Each test says what was proven about the
/// confinement; that a program can do something to itself is no breach.
#include "engine/tools/sandbox.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.h"
#include "support/refusal.h"
#include "support/sanitizers.h"
#include "support/temporary_folder.h"
#include "tokenizer/utf8.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using std::chrono::duration;
using std::chrono::steady_clock;

/// attempt(what, f, ...) prints "refused what" where f(...) raises OSError, else "ALLOWED what".
constexpr const char* kAttempt = R"(
import os, sys
def attempt(what, f, *arguments):
    try:
        value = f(*arguments)
    except OSError:
        print('refused', what)
    else:
        print('ALLOWED', what, value)
)";

size_t count_of(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

std::string describe(const ExecutionResult& result) {
  return fmt::format("success {}, timeout {}, memory_exceeded {}, error: {}\nout: {}\nerr: {}",
                     result.success, result.timeout, result.memory_exceeded,
                     result.error.value_or("none"), result.out.substr(0, 2000),
                     result.err.substr(0, 2000));
}

/// Limits that no other test, in this process or beside it, has: the size of a file is in the
/// command line of every process of the sandbox.
SandboxLimits marked_limits() {
  static int n_marked = 0;
  SandboxLimits limits;
  limits.file_bytes = 1'000'000'000 + int64_t{::getpid()} * 100 + n_marked++;
  return limits;
}

/// Of those that the machine runs now, how many are of a sandbox with these limits.
int count_processes(const SandboxLimits& limits) {
  const std::string mark = fmt::format("{}", limits.file_bytes);
  int n = 0;
  std::error_code ignored;  // processes end while we look
  for (auto it = fs::directory_iterator("/proc", ignored); it != fs::directory_iterator();
       it.increment(ignored)) {
    const int file = ::open((it->path() / "cmdline").c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;
    std::string line(16384, '\0');
    const ssize_t n_read = ::read(file, line.data(), line.size());
    ::close(file);
    line.resize(static_cast<size_t>(std::max<ssize_t>(n_read, 0)));
    n += line.find(mark) != std::string::npos;
  }
  return n;
}

class SandboxTest : public testing::Test {
 protected:
  void SetUp() override {
    static const std::string refusal = [] {
      try {
        const PythonSandbox sandbox;
      } catch (const DeviceError& error) {
        return std::string(error.what());
      }
      return std::string();
    }();
    if (refusal.empty()) return;
    ASSERT_EQ(std::getenv("NANOCHAT_REQUIRE_SANDBOX"), nullptr) << refusal;
    GTEST_SKIP() << "no sandbox here (NANOCHAT_REQUIRE_SANDBOX makes this a failure): " << refusal;
  }

  static ExecutionResult run(const std::string& code, const SandboxLimits& limits = generous()) {
    return PythonSandbox(limits).run(code);
  }
  /// What has nothing to do with time shall not depend on how busy the machine is.
  static SandboxLimits generous() {
    SandboxLimits limits;
    limits.timeout_s = 60;
    limits.cpu_s = 60;
    return limits;
  }
  static SandboxLimits short_time(SandboxLimits limits = {}) {
    limits.timeout_s = 1;
    return limits;
  }
  /// All n attempts of the code are refused, and it goes on to its end.
  static void expect_refused(const std::string& code, size_t n) {
    const ExecutionResult result = run(kAttempt + code);
    EXPECT_TRUE(result.success) << describe(result);
    EXPECT_EQ(count_of(result.out, "refused"), n) << describe(result);
    EXPECT_EQ(count_of(result.out, "ALLOWED"), 0U) << describe(result);
  }
  static void expect_timeout(const std::string& code) {
    const SandboxLimits limits = short_time(marked_limits());
    const auto begin = steady_clock::now();
    const ExecutionResult result = run(code, limits);
    EXPECT_LT(duration<double>(steady_clock::now() - begin).count(), 4) << code;
    EXPECT_TRUE(result.timeout) << describe(result);
    EXPECT_FALSE(result.success);
    EXPECT_EQ(result.error, "Execution timed out (process killed)");
    EXPECT_EQ(count_processes(limits), 0) << "left behind by " << code;
  }
};

// Ordinary programs.

TEST_F(SandboxTest, OutputAndErrorsComeBack) {
  const ExecutionResult result = run("import sys\nprint('one')\nprint('two', file=sys.stderr)");
  EXPECT_TRUE(result.success) << describe(result);
  EXPECT_EQ(result.out, "one\n");
  EXPECT_EQ(result.err, "two\n");
  EXPECT_EQ(result.error, std::nullopt);
  EXPECT_FALSE(result.timeout || result.memory_exceeded || result.truncated);
  EXPECT_TRUE(run("").success);
}

TEST_F(SandboxTest, TheCodeIsTheMainModuleOfAnOrdinaryPython) {
  const ExecutionResult result = run(R"(
import asyncio, bisect, collections, copy, dataclasses, datetime, decimal, enum, fractions
import functools, hashlib, heapq, itertools, json, math, multiprocessing, operator, pickle, random
import re, shutil, statistics, string, subprocess, sys, tempfile, threading, typing
from concurrent.futures import ThreadPoolExecutor

@dataclasses.dataclass
class Point:
    x: int

async def wait():
    await asyncio.sleep(0.001)
    return 5

if __name__ == '__main__':
    assert pickle.loads(pickle.dumps(Point(1))) == Point(1)
    assert typing.get_type_hints(Point) == {'x': int}
    assert asyncio.run(wait()) == 5
    assert list(ThreadPoolExecutor(3).map(abs, [-1, 2])) == [1, 2]
    assert subprocess.run(['echo', 'hi'], capture_output=True).stdout == b'hi\n'
    with multiprocessing.Pool(2) as pool:
        assert pool.map(abs, [-1, -2]) == [1, 2]
    with tempfile.TemporaryDirectory() as folder:
        open(folder + '/a', 'w').write('text')
        shutil.copy2(folder + '/a', 'b')
    assert open('b').read() == 'text'
    print(sys.argv, sorted(set(globals()) & {'run', 'report', 'token', 'set_limits', 'resource'}))
)");
  EXPECT_TRUE(result.success) << describe(result);
  EXPECT_EQ(result.out, "[''] []\n");
}

TEST_F(SandboxTest, QuotesBracesAndUnicodeSurvive) {
  const ExecutionResult result =
      run("x = '''{0} {{}} %s \\' \" \\\\ \\x41 \xE4\xBD\xA0'''\nprint(x)");
  EXPECT_EQ(result.out, "{0} {{}} %s ' \" \\ A \xE4\xBD\xA0\n") << describe(result);
}

TEST_F(SandboxTest, OneMegabyteOfCodeRuns) {
  std::string code = "text = '''" + std::string(1 << 20, 'x') + "'''\n";
  code += "print(len(text))";
  const ExecutionResult result = run(code);
  EXPECT_TRUE(result.success) << describe(result);
  EXPECT_EQ(result.out, "1048576\n");
}

TEST_F(SandboxTest, AnExceptionIsNamedAndShown) {
  const std::vector<std::pair<std::string, std::string>> table{
      {"1/0", "ZeroDivisionError: division by zero"},
      {"assert 1 == 2", "AssertionError"},
      {"raise ValueError('a\\nb')", "ValueError: a\nb"},
      {"def f(:", "SyntaxError: invalid syntax (<code>, line 2)"},
      {"'\\ud800'.encode()",
       "UnicodeEncodeError: 'utf-8' codec can't encode character '\\ud800' in position 0: "
       "surrogates not allowed"},
      {"f = lambda: f()\nf()", "RecursionError: maximum recursion depth exceeded"},
      {"class E(Exception):\n    def __str__(self): 1/0\nraise E", "E"}};
  for (const auto& [code, error] : table) {
    const ExecutionResult result = run("print('before', flush=True)\n" + code);
    EXPECT_FALSE(result.success) << code;
    EXPECT_EQ(result.error.value_or("").substr(0, error.size()), error);
    EXPECT_EQ(result.out, error.starts_with("SyntaxError") ? "" : "before\n");
    EXPECT_EQ(result.err.find("in run"), std::string::npos) << result.err;
    EXPECT_SAYS(result.err, error.substr(0, error.find(':')));
  }
  EXPECT_SAYS(run("def f():\n    1/0\nf()").err, "File \"<code>\", line 2, in f");
}

TEST_F(SandboxTest, StandardInputIsAtItsEnd) {
  EXPECT_EQ(run("input()").error, "EOFError: EOF when reading a line");
}

TEST_F(SandboxTest, AnyBytesOfOutputBecomeValidUtf8) {
  const ExecutionResult result = run(R"(
import os
os.write(1, b'a\0b\xff\xe4\xbd')
os.write(2, b'\xc3(')
)");
  EXPECT_TRUE(result.success) << describe(result);
  EXPECT_EQ(result.out, std::string("a\0b\xEF\xBF\xBD\xEF\xBF\xBD", 9));
  EXPECT_EQ(result.err, "\xEF\xBF\xBD(");
  const ExecutionResult nul = run(std::string("print(1)\0", 9));
  EXPECT_FALSE(nul.success);
  EXPECT_SAYS(nul.error.value_or(""), "null bytes");
  EXPECT_SAYS(run("x = '\xff'").error.value_or(""), "SyntaxError");
}

TEST_F(SandboxTest, OnlyTheEndOfTheCodeIsSuccess) {
  const std::vector<std::pair<std::string, std::string>> table{
      {"import sys; sys.exit(0)", "SystemExit: 0"},
      {"raise SystemExit", "SystemExit"},
      {"import os; os._exit(0)", "Execution failed (status 0 before the end of the code)"},
      {"import os; os.execv('/usr/bin/true', ['true'])",
       "Execution failed (status 0 before the end of the code)"},
      {"import os; os.kill(os.getpid(), 9)", "Execution failed (killed by signal 9)"},
      {"import atexit, os; atexit.register(os._exit, 3)",
       "Execution failed (status 3 before the end of the code)"},
      // A child that goes on to the end does not speak for its parent.
      {"import os\nif os.fork(): os.wait(); os._exit(0)",
       "Execution failed (status 0 before the end of the code)"},
      {"import os; os.write(4, b'D' * 5000); os._exit(0)",
       "Execution failed (status 0 before the end of the code)"},
      {"import os; os.closerange(3, 64)\nos._exit(0)",
       "Execution failed (status 0 before the end of the code)"}};
  for (const auto& [code, error] : table) {
    const ExecutionResult result = run(code);
    EXPECT_FALSE(result.success) << code;
    EXPECT_EQ(result.error, error) << code << '\n' << describe(result);
  }
  EXPECT_EQ(
      run("import os, sys\nprint('last words', file=sys.stderr, flush=True)\nos._exit(0)").error,
      "last words");
  EXPECT_TRUE(run("try:\n    exit\nexcept BaseException:\n    pass").success);
}

// Time.

TEST_F(SandboxTest, TimeIsLimitedWhateverTheProgramDoes) {
  expect_timeout("while True: pass");
  expect_timeout("import time; time.sleep(100)");
  expect_timeout(R"(
import signal
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
while True:
    try:
        while True: pass
    except BaseException: pass
)");
  // One that the code has finished, but not its thread.
  expect_timeout(
      "import threading, time\nthreading.Thread(target=time.sleep, args=(100,)).start()");
}

TEST_F(SandboxTest, OutputBeforeTheTimeoutIsKept) {
  const ExecutionResult result = run("print('so far', flush=True)\nwhile True: pass", short_time());
  EXPECT_TRUE(result.timeout);
  EXPECT_EQ(result.out, "so far\n");
}

TEST_F(SandboxTest, ProcessorTimeIsLimited) {
  SandboxLimits limits = generous();
  limits.cpu_s = 1;
  const ExecutionResult result = run("while True: pass", limits);
  EXPECT_TRUE(result.timeout) << describe(result);
  EXPECT_EQ(result.error, "Processor time used up (process killed)");
}

TEST_F(SandboxTest, NoProcessOutlivesTheRun) {
  SandboxLimits limits = marked_limits();
  limits.timeout_s = 60;
  std::thread other([&] {
    // It has left its parent, its session and its streams.
    const ExecutionResult result = run(R"(
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 64)
        time.sleep(1000)
    os._exit(0)
time.sleep(0.5)
)",
                                       limits);
    EXPECT_TRUE(result.success) << describe(result);
  });
  int n_seen = 0;
  const auto end = steady_clock::now() + std::chrono::seconds(20);
  while (n_seen < 4 && steady_clock::now() < end) n_seen = count_processes(limits);
  other.join();
  EXPECT_GE(n_seen, 4) << "bwrap twice, the program, its grandchild";
  EXPECT_EQ(count_processes(limits), 0);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a zombie is left";
}

// Memory, processes, files, output.

TEST_F(SandboxTest, MemoryIsLimited) {
  for (const std::string code :
       {"x = bytearray(1 << 30)", "x = []\nwhile True: x.append('a' * 100000)",
        "def f():\n    x = 'a' * 1000\n    while True: x += x\nf()"}) {
    const ExecutionResult result = run(code);
    EXPECT_FALSE(result.success) << code;
    EXPECT_TRUE(result.memory_exceeded) << code << '\n' << describe(result);
    EXPECT_EQ(result.error, "MemoryError");
  }
  SandboxLimits least = generous();
  least.memory_bytes = int64_t{32} << 20;
  EXPECT_TRUE(run("import re, json; print(1)", least).success);
  EXPECT_TRUE(run("x = bytearray(20 << 20)", least).memory_exceeded);
}

TEST_F(SandboxTest, TheWordMemoryErrorIsNoMemoryError) {
  const ExecutionResult result =
      run("import sys\ntry: x = bytearray(1 << 40)\nexcept MemoryError: print('MemoryError', "
          "file=sys.stderr)");
  EXPECT_TRUE(result.success) << describe(result);
  EXPECT_FALSE(result.memory_exceeded);
  EXPECT_FALSE(run("raise ValueError('MemoryError')").memory_exceeded);
}

TEST_F(SandboxTest, MemoryThatNoLimitCountsIsRefused) {
  expect_refused(fmt::format(R"(
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    value = libc.syscall(*arguments)
    if value < 0: raise OSError(ctypes.get_errno(), '')
    return value
attempt('memfd', os.memfd_create, 'x')
attempt('shm', call, {}, 0, 1 << 30, 0o1600)
attempt('root', open, '/x', 'w')
attempt('dev', open, '/dev/x', 'w')
)",
                             SYS_shmget),
                 4);
}

TEST_F(SandboxTest, AForkBombRunsOutOfProcesses) {
  const ExecutionResult counted = run(R"(
import os, time
n = 0
try:
    while True:
        if os.fork() == 0: time.sleep(100)
        n += 1
except BlockingIOError:
    print(n)
)");
  EXPECT_EQ(counted.out, fmt::format("{}\n", SandboxLimits{}.processes - 1)) << describe(counted);
  expect_timeout(R"(
import os
while True:
    try: os.fork()
    except OSError: pass
)");
}

TEST_F(SandboxTest, FilesAreLimited) {
  SandboxLimits limits = generous();
  limits.file_bytes = 1 << 20;
  limits.tmp_bytes = 3 << 20;
  const ExecutionResult result = run(R"(
import errno, os
def fill(name):
    try:
        with open(name, 'wb', buffering=0) as file:
            while True: file.write(bytes(65536))
    except OSError as error:
        return errno.errorcode[error.errno], os.path.getsize(name)
print([fill('/tmp/' + name) for name in 'abcd'], fill('/dev/shm/e'))
try:
    for i in range(1000): open('/tmp/a')
    files = [open('/tmp/a') for i in range(1000)]
except OSError as error:
    print(errno.errorcode[error.errno])
)",
                                     limits);
  EXPECT_EQ(result.out,
            "[('EFBIG', 1048576), ('EFBIG', 1048576), ('EFBIG', 1048576), ('ENOSPC', 0)] "
            "('ENOSPC', 0)\nEMFILE\n")
      << describe(result);
}

TEST_F(SandboxTest, ManyFilesAreGoneWithTheRun) {
  const PythonSandbox sandbox(short_time());
  const ExecutionResult many =
      sandbox.run("i = 0\nwhile True:\n    i += 1\n    open(str(i), 'w').close()");
  EXPECT_TRUE(many.timeout) << describe(many);
  EXPECT_EQ(run("import os; print(os.listdir('/tmp'))").out, "[]\n");
}

TEST_F(SandboxTest, EndlessOutputNeitherFillsMemoryNorBlocks) {
  SandboxLimits limits = short_time();
  limits.output_bytes = 100'000;
  for (const int fd : {1, 2}) {
    const ExecutionResult endless = run(
        fmt::format("import os\nwhile True: os.write({}, '\xC3\xA9'.encode() * 5000)", fd), limits);
    EXPECT_TRUE(endless.timeout && endless.truncated) << describe(endless);
    EXPECT_EQ((fd == 1 ? endless.out : endless.err).size(), 100'000U);
    EXPECT_EQ((fd == 1 ? endless.err : endless.out).size(), 0U);
  }
  limits.timeout_s = 60;
  limits.output_bytes = 99'999;
  const ExecutionResult finite = run("print('\xC3\xA9' * 5000000)", limits);
  EXPECT_TRUE(finite.success && finite.truncated) << describe(finite);
  EXPECT_EQ(finite.out.size(), 99'998U) << "whole characters";
}

// What is outside.

TEST_F(SandboxTest, ThereIsNoNetwork) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  ASSERT_EQ(::bind(listener, reinterpret_cast<const sockaddr*>(&address), length), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  ASSERT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length), 0);
  expect_refused(fmt::format(R"(
import socket, urllib.request
attempt('connect', socket.create_connection, ('127.0.0.1', {}))
attempt('bind', socket.create_server, ('127.0.0.1', 0))
attempt('name', socket.getaddrinfo, 'localhost.localdomain', 80)
attempt('http', urllib.request.urlopen, 'http://127.0.0.1/')
attempt('udp', socket.socket, socket.AF_INET, socket.SOCK_DGRAM)
attempt('raw', socket.socket, socket.AF_INET, socket.SOCK_RAW)
attempt('ipv6', socket.socket, socket.AF_INET6)
attempt('unix', socket.socket, socket.AF_UNIX)
attempt('netlink', socket.socket, socket.AF_NETLINK, socket.SOCK_RAW)
attempt('vsock', socket.socket, socket.AF_VSOCK)
attempt('pair', socket.socketpair, socket.AF_INET)
)",
                             ::ntohs(address.sin_port)),
                 11);
  ::close(listener);
}

TEST_F(SandboxTest, TheHostsFilesAreNotThere) {
  const test::TemporaryFolder folder;
  const std::string secret = folder.write("secret", "secret");
  fs::permissions(folder.path(), fs::perms::others_all, fs::perm_options::add);
  const char* const home = std::getenv("HOME");
  expect_refused(
      fmt::format(R"(
for path in ['/etc/shadow', '/etc/passwd', '/etc/hosts', '/root', '/home', '/var', '/sys', '/run',
             '/boot', '/mnt', '/opt', '/srv', '{}', '{}', '{}']:
    attempt(path, os.stat, path)
attempt('memory', open, '/dev/mem', 'rb')
attempt('disk', open, '/dev/sda', 'rb')
attempt('terminal', open, '/dev/tty')
)",
                  secret, home == nullptr || *home != '/' ? "/root" : home, NANOCHAT_SOURCE_DIR),
      18);
}

TEST_F(SandboxTest, NothingOutsideItsFolderIsWritten) {
  expect_refused(R"(
for path in ['/x', '/usr/x', '/usr/bin/python3', '/lib/x', '/bin/x', '/etc/x', '/dev/x', '/dev/pts/x',
             '/etc/ld.so.cache', os.__file__]:
    attempt('write ' + path, open, path, 'a')
attempt('mkdir', os.mkdir, '/home')
attempt('remove', os.remove, os.__file__)
attempt('rename', os.rename, '/tmp', '/tmp2')
attempt('chmod', os.chmod, '/usr', 0o777)
attempt('chown', os.chown, '/usr', 0, 0)
attempt('truncate', os.truncate, '/usr/bin/env', 0)
attempt('link', os.link, '/usr/bin/env', '/usr/bin/env2')
attempt('device', os.mknod, '/tmp/disk', 0o60600, os.makedev(8, 0))
)",
                 18);
}

TEST_F(SandboxTest, SymbolicLinksLeadNowhere) {
  expect_refused(R"(
for i, target in enumerate(['/etc/shadow', '../../../../etc/shadow', '/proc/1/root/etc/shadow',
                            '/proc/self/cwd/../../etc/shadow', '/dev/fd/0', '/root']):
    os.symlink(target, str(i))
    attempt('read ' + target, os.stat, str(i))
os.symlink('/usr/lib', 'lib')
attempt('write through', open, 'lib/x', 'w')
os.symlink('/', 'top')
attempt('top', os.listdir, 'top/root')
attempt('above', os.stat, '/' + '../' * 50 + 'root')
)",
                 9);
}

TEST_F(SandboxTest, ThereIsNoProc) {
  expect_refused(R"(
for path in ['/proc', '/proc/1/environ', '/proc/1/root', '/proc/self/root/etc/shadow',
             '/proc/self/mem', '/proc/self/fd', '/proc/sys/kernel/core_pattern', '/proc/kcore',
             '/proc/sysrq-trigger', '/proc/mounts', '/sys/kernel']:
    attempt(path, os.stat, path)
attempt('make', os.mkdir, '/proc')
)",
                 12);
}

TEST_F(SandboxTest, OtherProcessesAreOutOfReach) {
  expect_refused(fmt::format("import signal\n"
                             "attempt('test', os.kill, {}, signal.SIGKILL)\n"
                             "attempt('its parent', os.kill, {}, signal.SIGKILL)\n",
                             ::getpid(), ::getppid()),
                 2);
  // Its own first process is bwrap's, which no signal of the sandbox ends.
  const ExecutionResult result = run(R"(
import os, signal
for number in (signal.SIGTERM, signal.SIGKILL):
    os.kill(os.getppid(), number)
    os.kill(1, number)
    try: os.kill(-1, number)
    except ProcessLookupError: pass
print(os.getppid())
)");
  EXPECT_TRUE(result.success) << describe(result);
  EXPECT_EQ(result.out, "1\n");
}

TEST_F(SandboxTest, TheProgramHasNoRightsToGain) {
  const ExecutionResult result =
      run("import os; print(os.getresuid(), os.getresgid(), os.getgroups())");
  EXPECT_EQ(result.out.substr(0, 44), "(65534, 65534, 65534) (65534, 65534, 65534) ");
  EXPECT_EQ(result.out.find(" 0"), std::string::npos) << "no group of root's: " << result.out;
  expect_refused(R"(
import resource, socket
attempt('setuid', os.setuid, 0)
attempt('setgroups', os.setgroups, [0])
attempt('chroot', os.chroot, '/tmp')
attempt('hostname', socket.sethostname, 'x')
attempt('nice', os.nice, -5)
def raise_limit(kind):
    try: resource.setrlimit(kind, (-1, -1))
    except ValueError as error: raise OSError(error)
for kind in (resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE,
             resource.RLIMIT_NOFILE, resource.RLIMIT_CORE):
    attempt('limit', raise_limit, kind)
)",
                 11);
}

TEST_F(SandboxTest, SystemCallsThatOpenDoorsAreRefused) {
  // Arguments of nothing would do for most; the flags are those that ask for a new user namespace.
  const std::vector<std::pair<int, std::string>> calls{{SYS_ptrace, "0"},  // PTRACE_TRACEME
                                                       {SYS_process_vm_readv, "1"},
                                                       {SYS_process_vm_writev, "1"},
                                                       {SYS_mount, "0"},
                                                       {SYS_umount2, "0"},
                                                       {SYS_pivot_root, "0"},
                                                       {SYS_chroot, "0"},
                                                       {SYS_unshare, "0x10000000"},
                                                       {SYS_unshare, "0"},
                                                       {SYS_setns, "0"},
                                                       {SYS_clone, "0x10000011"},
                                                       {SYS_clone, "0x40000011"},
                                                       {SYS_clone3, "0"},
                                                       {SYS_keyctl, "0"},
                                                       {SYS_add_key, "0"},
                                                       {SYS_request_key, "0"},
                                                       {SYS_bpf, "0"},
                                                       {SYS_perf_event_open, "0"},
                                                       {SYS_kexec_load, "0"},
                                                       {SYS_init_module, "0"},
                                                       {SYS_userfaultfd, "0"},
                                                       {SYS_io_uring_setup, "1"},
                                                       {SYS_memfd_create, "0"},
                                                       {SYS_personality, "0"},
                                                       {SYS_open_by_handle_at, "0"},
                                                       {SYS_name_to_handle_at, "0"},
                                                       {SYS_splice, "0"},
                                                       {SYS_vmsplice, "0"},
                                                       {SYS_seccomp, "0"},
                                                       {SYS_reboot, "0"},
                                                       {SYS_swapon, "0"},
                                                       {SYS_syslog, "3"},
                                                       {SYS_fsopen, "0"},
                                                       {SYS_open_tree, "0"},
                                                       {9999, "0"}};  // of a kernel to come
  std::string list;
  for (const auto& [number, argument] : calls) list += fmt::format("({}, {}), ", number, argument);
  expect_refused(
      "import ctypes, errno\nlibc = ctypes.CDLL(None, use_errno=True)\n"
      "def call(number, argument):\n"
      "    value = libc.syscall(number, argument, 0, 0, 0, 0)\n"
      "    if value == 0 and number == " +
          std::to_string(SYS_clone) +
          ": os._exit(0)\n"
          "    code = ctypes.get_errno()\n"
          "    if value < 0 and code in (errno.EPERM, errno.ENOSYS): raise OSError(code, '')\n"
          "    return value, code\n"
          "for number, argument in [" +
          list + "]:\n    attempt(number, call, number, argument)\n",
      calls.size());
}

#if defined(__x86_64__)
TEST_F(SandboxTest, TheFilterHoldsForThe32BitEntranceToo) {
  const ExecutionResult result = run(R"(
import ctypes, mmap
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(b'\xb8\x14\x00\x00\x00\xcd\x80\xc3')  # getpid by int 0x80
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
)");
  EXPECT_EQ(result.error, fmt::format("Execution failed (killed by signal {})", SIGSYS));
}
#endif

TEST_F(SandboxTest, TheEnvironmentHoldsNoSecret) {
  ASSERT_EQ(::setenv("NANOCHAT_TEST_SECRET", "squeamish", 1), 0);
  const ExecutionResult result = run(R"(
import os, subprocess
print(sorted(os.environ))
print(subprocess.run(['env'], capture_output=True, text=True).stdout)
)");
  ::unsetenv("NANOCHAT_TEST_SECRET");
  EXPECT_TRUE(result.success) << describe(result);
  EXPECT_EQ(result.out.substr(0, result.out.find('\n')),
            "['HOME', 'LANG', 'OMP_NUM_THREADS', 'PATH', 'PWD']");
  EXPECT_EQ(result.out.find("squeamish"), std::string::npos) << result.out;
}

TEST_F(SandboxTest, NoOpenFileIsInherited) {
  const test::TemporaryFolder folder;
  const int open_file = ::open(folder.write("secret", "secret").c_str(), O_RDONLY);  // no O_CLOEXEC
  const int high = ::dup2(open_file, 50);
  const ExecutionResult result = run(R"(
import os
for fd in range(64):
    try: os.fstat(fd)
    except OSError: continue
    print(fd, end=' ')
)");
  ::close(open_file);
  ::close(high);
  EXPECT_EQ(result.out, "0 1 2 4 ") << "standard streams, and the end of the pipe for the report";
}

// The host.

TEST_F(SandboxTest, EightThreadsAtOnce) {
  SandboxLimits limits = generous();
  const PythonSandbox sandbox(limits);
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&sandbox, t] {
      for (int i = 0; i < 3; ++i) {
        // Each has the processes of one: the limit is not shared.
        const ExecutionResult result = sandbox.run(fmt::format(R"(
import os, time
children = []
for i in range(15):
    pid = os.fork()
    if pid == 0: time.sleep(0.05); os._exit(0)
    children.append(pid)
for pid in children: os.waitpid(pid, 0)
open('name', 'x').write('{0}')
print(open('name').read())
)",
                                                               t * 10 + i));
        EXPECT_TRUE(result.success) << describe(result);
        EXPECT_EQ(result.out, fmt::format("{}\n", t * 10 + i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(SandboxTest, NothingPilesUp) {
  const auto count_files = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  const PythonSandbox sandbox(generous());
  const auto before = count_files();
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(sandbox.run("1/0").success);
  EXPECT_EQ(count_files(), before);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

TEST_F(SandboxTest, TheCallersSignalsAreItsOwn) {
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &before);
  const ExecutionResult result = run(R"(
import signal, time
def ring(number, frame): raise TimeoutError('rang')
signal.signal(signal.SIGALRM, ring)
signal.setitimer(signal.ITIMER_REAL, 0.01)
time.sleep(60)
)");
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  EXPECT_EQ(result.error, "TimeoutError: rang") << describe(result);
}

TEST_F(SandboxTest, ClosedStandardStreamsDoNotConfuseIt) {
  if (test::kSanitized) GTEST_SKIP() << "sanitizers want their stderr";
  const pid_t child = ::fork();
  if (child == 0) {
    for (const int fd : {0, 1, 2}) ::close(fd);
    const ExecutionResult result = run("print('one')");
    ::_exit(result.success && result.out == "one\n" ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(SandboxTest, WithoutUserNamespacesItRefuses) {
  if (test::kSanitized) GTEST_SKIP() << "a process with the sanitizer's threads cannot unshare";
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    std::string said = "no user namespace of our own";
    if (::unshare(CLONE_NEWUSER) == 0) {
      // Nobody under us may make one.
      std::ofstream("/proc/sys/user/max_user_namespaces") << 0 << std::flush;
      said = "not refused";
      try {
        const PythonSandbox sandbox;
      } catch (const DeviceError& error) {
        said = error.what();
      } catch (const std::exception& error) {
        said = std::string("another error: ") + error.what();
      }
    }
    static_cast<void>(!::write(ends[1], said.data(), said.size()));
    ::_exit(0);
  }
  ::close(ends[1]);
  char buffer[1000];
  const ssize_t n = ::read(ends[0], buffer, sizeof buffer);
  ::close(ends[0]);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ASSERT_GT(n, 0);
  const std::string said(buffer, static_cast<size_t>(n));
  EXPECT_SAYS(said, "sandbox: cannot be set up: bwrap: ");
  EXPECT_SAYS(said, "docs/sandbox.md");
}

TEST(SandboxLimitsTest, LimitsWithoutSenseAreRefused) {
  const auto refused = [](auto change) {
    SandboxLimits limits;
    change(limits);
    return test::refusal<UsageError>([&] { const PythonSandbox sandbox(limits); });
  };
  EXPECT_SAYS(refused([](SandboxLimits& l) { l.timeout_s = 0; }), "timeout");
  EXPECT_SAYS(refused([](SandboxLimits& l) { l.timeout_s = NAN; }), "timeout");
  EXPECT_SAYS(refused([](SandboxLimits& l) { l.memory_bytes = 1 << 20; }), "32 MiB");
  EXPECT_SAYS(refused([](SandboxLimits& l) { l.cpu_s = 0; }), "processor time");
  EXPECT_SAYS(refused([](SandboxLimits& l) { l.tmp_bytes = 0; }), "/tmp");
  EXPECT_SAYS(refused([](SandboxLimits& l) { l.output_bytes = -1; }), "sizes");
  EXPECT_SAYS(refused([](SandboxLimits& l) { l.processes = 0; }), "process");
}

}  // namespace
}  // namespace nanochat
