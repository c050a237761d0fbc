/// Which system calls a program in the sandbox may make.
#pragma once

#include <string>

namespace nanochat {

/// A seccomp filter as the kernel takes it (an array of struct sock_filter), for `bwrap --seccomp`.
///
/// It is a list of what is allowed, so that what a later kernel adds is not: what one program with
/// files, threads, children, signals and timers needs. All else fails, with EPERM where that says
/// more than ENOSYS (with which the C library tries an older call). Programs of another
/// architecture (32-bit) are killed. Throws DeviceError where libseccomp cannot build it.
[[nodiscard]] std::string syscall_filter();

}  // namespace nanochat
