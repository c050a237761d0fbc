/// How long this process has been there.
#pragma once

namespace nanochat {

/// Seconds since the kernel started this process: what somebody has waited who pressed Enter, with
/// the loading of the program in it. The kernel counts starts in hundredths of a second, rounded
/// down, so it is up to 0.01 s too much and never too little. Where /proc cannot be read, since the
/// program's first static object. Thread-safe.
[[nodiscard]] double seconds_since_process_start();

}  // namespace nanochat
