#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <sched.h>
#include <unistd.h>

#include "cli/commands.h"
#include "core/dtype.h"
#include "core/error.h"
#include "core/parallel.h"
#include "ops/backend.h"

namespace nanochat::cli {
namespace {

std::string compiler() {
#if defined(__clang__)
  return fmt::format("clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
  return fmt::format("gcc {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
}

/// What follows "key :" in a file of /proc, or empty.
std::string proc_value(const char* file, std::string_view key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const size_t colon = line.find(':');
    if (!line.starts_with(key) || colon == std::string::npos) continue;
    const size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

std::string cpu_model() {
  const std::string model = proc_value("/proc/cpuinfo", "model name");
  return model.empty() ? "unknown" : model;  // ARM kernels do not say
}

/// Cores that this process may run on; a container may have fewer than the machine.
int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
}

int64_t total_memory_bytes() {
  return static_cast<int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);
}

int64_t available_memory_bytes() {
  return 1024 * std::atoll(proc_value("/proc/meminfo", "MemAvailable").c_str());
}

}  // namespace

std::filesystem::path resolve_base_dir(const std::filesystem::path& flag) {
  if (!flag.empty()) return flag;
  const char* variable = std::getenv("NANOCHAT_BASE_DIR");
  if (variable != nullptr && *variable != '\0') return variable;
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') {
    throw UsageError("$HOME is not set: say where to keep files with --base-dir");
  }
  return std::filesystem::path(home) / ".cache" / "nanochat";
}

void run_info(const CommonOptions& options) {
  const Backend& backend = cpu_backend();
  // In the order that people read it in.
  const nlohmann::ordered_json info{
      {"version", NANOCHAT_VERSION},
      {"compiler", compiler()},
      {"build_type", NANOCHAT_BUILD_TYPE},
      {"cpu_model", cpu_model()},
      {"cores", usable_cores()},
      {"memory_bytes", total_memory_bytes()},
      {"memory_available_bytes", available_memory_bytes()},
      {"cpu_backend", backend.description()},
      {"preferred_dtype", name_of(backend.preferred_dtype())},
      {"threads", num_threads()},
      {"cuda", false},
      {"base_dir", options.base_dir.string()},
  };
  if (options.json) {
    // A path may hold bytes that are not UTF-8, which JSON cannot; they show as U+FFFD.
    fmt::print("{}\n", info.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  const auto gib = [](int64_t bytes) { return static_cast<double>(bytes) / (1 << 30); };
  fmt::print("nanochat     {} ({}, {})\n", NANOCHAT_VERSION, compiler(), NANOCHAT_BUILD_TYPE);
  fmt::print("cpu          {}, {} cores\n", cpu_model(), usable_cores());
  fmt::print("memory       {:.1f} GiB, {:.1f} GiB available\n", gib(total_memory_bytes()),
             gib(available_memory_bytes()));
  fmt::print("cpu backend  {}, {} threads, {} preferred\n", backend.description(), num_threads(),
             name_of(backend.preferred_dtype()));
  fmt::print("cuda         not in this build\n");
  fmt::print("base dir     {}\n", options.base_dir.string());
}

}  // namespace nanochat::cli
