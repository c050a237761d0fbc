/// The commands of the program: options as the command line gave them, and what they run. Parsing
/// is main.cpp's.
#pragma once

#include <filesystem>
#include <string>

namespace nanochat::cli {

/// What every command takes.
struct CommonOptions {
  std::filesystem::path base_dir;  ///< resolved: never empty
  int threads = 0;                 ///< 0: as many as the machine gives
  bool json = false;               ///< the result as one JSON object on stdout
  bool quiet = false;
  std::string command_line{};  ///< as typed
  std::string config{};        ///< its flags have been put among the others (config_file.h)
};

/// --base-dir, else $NANOCHAT_BASE_DIR, else ~/.cache/nanochat. Throws UsageError when none of the
/// three is there.
[[nodiscard]] std::filesystem::path resolve_base_dir(const std::filesystem::path& flag);

/// nanochat info: what this build and this machine have. Throws DeviceError when $NANOCHAT_CPU_ISA
/// names an instruction set that is not there.
void run_info(const CommonOptions& options);

}  // namespace nanochat::cli
