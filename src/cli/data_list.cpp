#include <algorithm>
#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/data_download.h"
#include "cli/text_io.h"
#include "core/progress.h"
#include "data/catalogue.h"

namespace nanochat::cli {
namespace {

namespace fs = std::filesystem;

/// Of shards or splits or files: "6543 shards", "4 splits", "1 file".
std::string count_text(const Dataset& dataset) {
  if (dataset.kind == DatasetKind::kShards) return fmt::format("{} shards", dataset.n_shards);
  const size_t n = dataset.files.size();
  return fmt::format("{} {}{}", n, dataset.kind == DatasetKind::kHub ? "split" : "file",
                     n == 1 ? "" : "s");
}

int64_t count_here(const Dataset& dataset, const fs::path& folder) {
  int64_t n = 0;
  std::error_code error;
  for (int64_t i = 0; i < dataset.n_shards; ++i) {
    if (fs::exists(folder / shard_name(i), error)) ++n;
  }
  for (const std::string_view file : dataset.files) {
    const bool is_split = dataset.kind == DatasetKind::kHub;
    if (fs::exists(is_split ? folder / file / "00000.parquet" : folder / file, error)) ++n;
  }
  return n;
}

std::string size_text(int64_t bytes) {
  return bytes == 0 ? "?" : format_count(static_cast<double>(bytes)) + "B";
}

nlohmann::ordered_json to_json(const Dataset& dataset, const fs::path& folder) {
  return {
      {"name", dataset.name},
      {"what", dataset.what},
      {"licence", dataset.licence},
      {"url", dataset.base_url},
      {"shards", dataset.n_shards},
      {"files", dataset.files},
      {"approximate_bytes",
       dataset.approximate_bytes > 0 ? nlohmann::ordered_json(dataset.approximate_bytes) : nullptr},
      {"path", folder.string()},
      {"here", count_here(dataset, folder)}};
}

}  // namespace

fs::path dataset_folder(const CommonOptions& common, std::string_view name) {
  return common.base_dir / "data" / name;
}

void run_data_list(const CommonOptions& common, const DataListOptions&) {
  if (common.json) {
    nlohmann::ordered_json result{{"datasets", nlohmann::ordered_json::array()}};
    for (const Dataset& dataset : catalogue()) {
      result["datasets"].push_back(to_json(dataset, dataset_folder(common, dataset.name)));
    }
    print_json(result);
    return;
  }
  constexpr std::string_view kRow = "{:<17} {:>11} {:>8} {:>5}  {:<18} {}\n";
  std::string table =
      fmt::format(fmt::runtime(kRow), "name", "parts", "size", "here", "licence", "what");
  for (const Dataset& dataset : catalogue()) {
    table += fmt::format(
        fmt::runtime(kRow), dataset.name, count_text(dataset), size_text(dataset.approximate_bytes),
        count_here(dataset, dataset_folder(common, dataset.name)), dataset.licence, dataset.what);
  }
  print_bytes(table);
  print_bytes(fmt::format("\nSizes are approximate. nanochat data download NAME puts one into {}\n",
                          dataset_folder(common, "NAME").string()));
}

}  // namespace nanochat::cli
