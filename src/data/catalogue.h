/// The data sets that upstream nanochat uses, and where they are.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/downloader.h"

namespace nanochat {

/// How the files of a data set are found.
enum class DatasetKind : uint8_t {
  kShards,  ///< shard_00000.parquet, shard_00001.parquet, ...
  kFiles,   ///< by name
  /// Splits of a Hugging Face data set: <subset>/<split> under the address is a JSON list of the
  /// parquet files that the hub has made of it, <subset>/<split>/0.parquet, ...
  kHub,
};

/// No length or hash of these files is known beforehand. Of those on the Hugging Face hub the
/// answer tells both, which the downloader checks; of the others, nobody publishes a hash.
struct Dataset {
  std::string_view name;
  std::string_view what;
  std::string_view licence;  ///< of the texts; "not stated" where its home says nothing
  DatasetKind kind = DatasetKind::kFiles;
  std::string_view base_url;     ///< files are below this address
  int64_t n_shards = 0;          ///< of kShards
  bool pins_last_shard = false;  ///< of kShards: the last is always fetched too, for validation
  std::vector<std::string_view> files{};  ///< of kFiles; of kHub "<subset>/<split>"
  int64_t approximate_bytes = 0;          ///< of all of it; 0: not known
};

[[nodiscard]] std::span<const Dataset> catalogue();

/// Throws NotFoundError, which lists what there is.
[[nodiscard]] const Dataset& find_dataset(std::string_view name);

/// The address that `dataset` is fetched from: `base_url` when it is not empty; else, of what is on
/// the Hugging Face hub, below `hub` (its address, or a mirror's) when that is not empty; else its
/// own. Without a slash at the end.
[[nodiscard]] std::string dataset_url(const Dataset& dataset, std::string_view base_url,
                                      std::string_view hub);

/// "shard_00042.parquet".
[[nodiscard]] std::string shard_name(int64_t index);

/// The indices of the first `n` shards, and of the last if the data set pins it; -1: of all.
/// Of a data set that pins its last, `n` counts the others, as upstream's does.
/// Throws UsageError when there are not so many.
[[nodiscard]] std::vector<int64_t> shard_indices(const Dataset& dataset, int64_t n);

/// Everything to fetch, into `folder`. `n` is for kShards. `fetch_list` gets the text at an
/// address; only kHub asks for that. The files of a split are
/// <folder>/<subset>/<split>/00000.parquet,
/// ..., as upstream names them. Throws as shard_indices; DataError when a list makes no sense.
[[nodiscard]] std::vector<Download> dataset_downloads(
    const Dataset& dataset, const std::string& url, const std::filesystem::path& folder, int64_t n,
    const std::function<std::string(const std::string&)>& fetch_list);

}  // namespace nanochat
