#include "cli/system_info.h"

#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include "core/dtype.h"
#include "core/parallel.h"
#include "ops/devices.h"

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

/// "main 1a2b3c4" of the sources that this program was built from, if they are still there and in
/// a git repository.
std::string git_revision() {
  const std::filesystem::path git = std::filesystem::path(NANOCHAT_SOURCE_DIR) / ".git";
  const auto first_line = [](const std::filesystem::path& file) {
    std::string line;
    std::ifstream in(file);
    std::getline(in, line);
    return line;
  };
  const std::string head = first_line(git / "HEAD");
  constexpr std::string_view kRef = "ref: ", kBranch = "refs/heads/";
  if (!head.starts_with(kRef)) return head.substr(0, 7);
  const std::string ref = head.substr(kRef.size());
  std::string commit = first_line(git / ref);
  std::ifstream packed(git / "packed-refs");
  for (std::string line; commit.empty() && std::getline(packed, line);) {
    if (line.ends_with(" " + ref)) commit = line;
  }
  const std::string branch = ref.starts_with(kBranch) ? ref.substr(kBranch.size()) : ref;
  return commit.empty() ? "" : fmt::format("{} {}", branch, commit.substr(0, 7));
}

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

nlohmann::ordered_json cuda_info() {
  const CudaInventory& found = cuda_inventory();
  nlohmann::ordered_json info{{"problem", found.problem},
                              {"driver_version", version_text(found.driver_version)},
                              {"runtime_version", version_text(found.runtime_version)},
                              {"devices", nlohmann::ordered_json::array()}};
  for (size_t i = 0; i < found.devices.size(); ++i) {
    const CudaDevice& d = found.devices[i];
    info["devices"].push_back({{"device", fmt::format("cuda:{}", i)},
                               {"name", d.name},
                               {"compute_capability", fmt::format("{}.{}", d.major, d.minor)},
                               {"multiprocessors", d.multiprocessors},
                               {"memory_bytes", d.memory_bytes}});
  }
  return info;
}

}  // namespace

nlohmann::ordered_json system_info() {
  const Backend& backend = cpu_backend();
  // In the order that people read it in.
  return {
      {"version", NANOCHAT_VERSION},
      {"compiler", compiler()},
      {"build_type", NANOCHAT_BUILD_TYPE},
      {"git", git_revision()},
      {"cpu_model", cpu_model()},
      {"cores", usable_cores()},
      {"memory_bytes", total_memory_bytes()},
      {"memory_available_bytes", available_memory_bytes()},
      {"cpu_backend", backend.description()},
      {"preferred_dtype", name_of(backend.preferred_dtype())},
      {"threads", num_threads()},
      {"cuda", cuda_info()},
  };
}

}  // namespace nanochat::cli
