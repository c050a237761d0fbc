#include <cstdlib>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/system_info.h"
#include "cli/text_io.h"
#include "core/error.h"

namespace nanochat::cli {

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
  nlohmann::ordered_json info = system_info();
  info["base_dir"] = options.base_dir.string();
  if (options.json) return print_json(info);
  const auto text = [&info](const char* key) { return info[key].get<std::string>(); };
  const auto gib = [&info](const char* key) { return info[key].get<double>() / (1 << 30); };
  fmt::print("nanochat     {} ({}, {})\n", text("version"), text("compiler"), text("build_type"));
  fmt::print("cpu          {}, {} cores\n", text("cpu_model"), info["cores"].get<int>());
  fmt::print("memory       {:.1f} GiB, {:.1f} GiB available\n", gib("memory_bytes"),
             gib("memory_available_bytes"));
  fmt::print("cpu backend  {}, {} threads, {} preferred\n", text("cpu_backend"),
             info["threads"].get<int>(), text("preferred_dtype"));
  const auto& cuda = info["cuda"];
  if (!cuda["problem"].get<std::string>().empty()) {
    fmt::print("cuda         {}\n", cuda["problem"].get<std::string>());
  }
  for (const auto& device : cuda["devices"]) {
    fmt::print("{:<12} {}, {:.1f} GiB, compute capability {}\n",
               device["device"].get<std::string>(), device["name"].get<std::string>(),
               device["memory_bytes"].get<double>() / (1 << 30),
               device["compute_capability"].get<std::string>());
  }
  fmt::print("base dir     {}\n", options.base_dir.string());
}

}  // namespace nanochat::cli
