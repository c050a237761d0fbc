/// nanochat data list and download, as the command line gave them.
#pragma once

#include <cstdint>
#include <string>

#include "cli/commands.h"

namespace nanochat::cli {

struct DataListOptions {};
void run_data_list(const CommonOptions& common, const DataListOptions& options);

struct DataDownloadOptions {
  std::string name;
  int64_t n_shards = 0;  ///< 0: not given; -1: all
  std::string base_url;  ///< empty: the data set's own
  std::string out;       ///< empty: <base>/data/<name>
  int64_t jobs = 4;
};
void run_data_download(const CommonOptions& common, const DataDownloadOptions& options);

/// Where a data set goes unless --out says otherwise.
[[nodiscard]] std::filesystem::path dataset_folder(const CommonOptions& common,
                                                   std::string_view name);

}  // namespace nanochat::cli
