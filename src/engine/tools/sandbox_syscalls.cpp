#include "engine/tools/sandbox_syscalls.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>

#include <asm/ioctls.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/error.h"

namespace nanochat {
namespace {

// Names that an architecture or the library does not know are left out. Not here, though they look
// harmless: memfd_create, shmget and the like, whose memory no limit counts; splice, tee and
// vmsplice, userfaultfd and io_uring, for their history of holes; setxattr.
constexpr const char* kAllowed[] = {
    // memory
    "brk", "mmap", "munmap", "mprotect", "mremap", "madvise", "mincore", "msync", "membarrier",
    // files
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2",
    "pwritev2", "lseek", "open", "openat", "openat2", "creat", "close", "close_range", "dup",
    "dup2", "dup3", "fcntl", "flock", "fsync", "fdatasync", "ftruncate", "truncate", "fallocate",
    "fadvise64", "sendfile", "copy_file_range", "stat", "lstat", "fstat", "newfstatat", "statx",
    "statfs", "fstatfs", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getcwd",
    "chdir", "fchdir", "mkdir", "mkdirat", "rmdir", "rename", "renameat", "renameat2", "unlink",
    "unlinkat", "link", "linkat", "symlink", "symlinkat", "chmod", "fchmod", "fchmodat",
    "fchmodat2", "chown", "lchown", "fchown", "fchownat", "umask", "utime", "utimes", "utimensat",
    "futimesat", "getdents", "getdents64", "mknod", "mknodat", "getxattr", "lgetxattr", "fgetxattr",
    "listxattr", "llistxattr", "flistxattr",
    // waiting for them
    "pipe", "pipe2", "poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1",
    "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2",
    "timerfd_create", "timerfd_settime", "timerfd_gettime", "signalfd", "signalfd4",
    // the two ends of a socketpair, which asyncio wakes itself with; no messages that carry files
    "sendto", "recvfrom", "shutdown", "getsockname", "getpeername", "getsockopt", "setsockopt",
    // processes and threads; clone is below
    "fork", "vfork", "execve", "exit", "exit_group", "wait4", "waitid", "getpid", "getppid",
    "gettid", "getpgid", "getpgrp", "setpgid", "getsid", "setsid", "pidfd_open",
    "pidfd_send_signal", "uname", "sysinfo", "times", "getrusage", "getrlimit", "setrlimit",
    "prlimit64", "getuid", "geteuid", "getgid", "getegid", "getgroups", "getresuid", "getresgid",
    "getpriority", "setpriority", "sched_yield", "sched_getaffinity", "sched_setaffinity",
    "sched_getparam", "sched_getscheduler", "sched_get_priority_max", "sched_get_priority_min",
    "sched_rr_get_interval", "getcpu", "futex", "futex_waitv", "set_tid_address", "set_robust_list",
    "get_robust_list", "rseq", "arch_prctl",
    // signals
    "kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "rt_sigaction",
    "rt_sigprocmask", "rt_sigpending", "rt_sigsuspend", "rt_sigtimedwait", "rt_sigreturn",
    "sigaltstack", "pause", "restart_syscall",
    // time and chance
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time",
    "alarm", "getitimer", "setitimer", "timer_create", "timer_settime", "timer_gettime",
    "timer_getoverrun", "timer_delete", "getrandom"};

// "Operation not permitted" where a program would otherwise be told that the kernel is too old.
constexpr const char* kForbidden[] = {"socket",
                                      "connect",
                                      "bind",
                                      "listen",
                                      "accept",
                                      "accept4",
                                      "sendmsg",
                                      "recvmsg",
                                      "sendmmsg",
                                      "recvmmsg",
                                      "ptrace",
                                      "process_vm_readv",
                                      "process_vm_writev",
                                      "pidfd_getfd",
                                      "kcmp",
                                      "mount",
                                      "umount2",
                                      "pivot_root",
                                      "chroot",
                                      "unshare",
                                      "setns",
                                      "open_tree",
                                      "move_mount",
                                      "fsopen",
                                      "fsconfig",
                                      "fsmount",
                                      "mount_setattr",
                                      "setuid",
                                      "setgid",
                                      "setreuid",
                                      "setregid",
                                      "setresuid",
                                      "setresgid",
                                      "setgroups",
                                      "setfsuid",
                                      "setfsgid",
                                      "capset",
                                      "add_key",
                                      "request_key",
                                      "keyctl",
                                      "bpf",
                                      "perf_event_open",
                                      "userfaultfd",
                                      "io_uring_setup",
                                      "io_uring_enter",
                                      "io_uring_register",
                                      "kexec_load",
                                      "kexec_file_load",
                                      "init_module",
                                      "finit_module",
                                      "delete_module",
                                      "reboot",
                                      "swapon",
                                      "swapoff",
                                      "sethostname",
                                      "setdomainname",
                                      "settimeofday",
                                      "clock_settime",
                                      "adjtimex",
                                      "clock_adjtime",
                                      "acct",
                                      "quotactl",
                                      "syslog",
                                      "personality",
                                      "memfd_create",
                                      "memfd_secret",
                                      "shmget",
                                      "semget",
                                      "msgget",
                                      "mq_open",
                                      "open_by_handle_at",
                                      "name_to_handle_at",
                                      "fanotify_init",
                                      "inotify_init1",
                                      "mlock",
                                      "mlockall",
                                      "setxattr",
                                      "lsetxattr",
                                      "fsetxattr",
                                      "execveat",
                                      "seccomp",
                                      "ioperm",
                                      "iopl",
                                      "modify_ldt"};

constexpr uint64_t kTerminalAndFlagRequests[] = {TCGETS,  TIOCGWINSZ, FIONREAD,
                                                 FIONBIO, FIOCLEX,    FIONCLEX};

// CLONE_NEWTIME, 0x80, is not in every sched.h; clone() reads it as part of a signal's number.
constexpr uint64_t kNewNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

class Filter {
 public:
  Filter() : context_(::seccomp_init(SCMP_ACT_ERRNO(ENOSYS)), ::seccomp_release) {
    if (context_ == nullptr) fail(ENOMEM);
    check(::seccomp_attr_set(context_.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS));
    check(::seccomp_attr_set(context_.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2));  // a tree, not a list
  }

  template <typename... Conditions>
  void add(uint32_t action, const char* name, Conditions... conditions) {
    const int number = ::seccomp_syscall_resolve_name(name);
    if (number < 0) return;  // not on this architecture
    const scmp_arg_cmp all[] = {conditions..., {}};
    check(::seccomp_rule_add_array(context_.get(), action, number, sizeof...(conditions), all));
  }

  [[nodiscard]] std::string bytes() const {
    const int fd = ::memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0) fail(errno);
    const std::unique_ptr<const int, void (*)(const int*)> closer(
        &fd, [](const int* f) { ::close(*f); });
    check(::seccomp_export_bpf(context_.get(), fd));
    std::string bytes(static_cast<size_t>(::lseek(fd, 0, SEEK_END)), '\0');
    if (::pread(fd, bytes.data(), bytes.size(), 0) != std::ssize(bytes)) fail(EIO);
    return bytes;
  }

 private:
  [[noreturn]] static void fail(int error) {
    throw DeviceError("sandbox: libseccomp cannot build the filter of system calls: {}",
                      std::strerror(error));
  }
  static void check(int result) {
    if (result < 0) fail(-result);
  }

  std::unique_ptr<void, void (*)(scmp_filter_ctx)> context_;
};

}  // namespace

std::string syscall_filter() {
  Filter filter;
  for (const char* const name : kAllowed) filter.add(SCMP_ACT_ALLOW, name);
  for (const char* const name : kForbidden) filter.add(SCMP_ACT_ERRNO(EPERM), name);
  // Of these a part. clone3 hides its flags in memory, so it stays forbidden with ENOSYS, and the C
  // library takes clone.
  filter.add(SCMP_ACT_ALLOW, "clone", scmp_arg_cmp{0, SCMP_CMP_MASKED_EQ, kNewNamespaces, 0});
  filter.add(SCMP_ACT_ALLOW, "socketpair", scmp_arg_cmp{0, SCMP_CMP_EQ, AF_UNIX, 0});
  for (const uint64_t request : kTerminalAndFlagRequests) {
    filter.add(SCMP_ACT_ALLOW, "ioctl", scmp_arg_cmp{1, SCMP_CMP_EQ, request, 0});
  }
  for (const uint64_t option : {PR_SET_NAME, PR_GET_NAME, PR_SET_PDEATHSIG}) {
    filter.add(SCMP_ACT_ALLOW, "prctl", scmp_arg_cmp{0, SCMP_CMP_EQ, option, 0});
  }
  return filter.bytes();
}

}  // namespace nanochat
