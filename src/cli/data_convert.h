/// nanochat data convert, as the command line gave it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/commands.h"

namespace nanochat::cli {

struct DataConvertOptions {
  std::vector<std::string> data;
  std::string text_field = "text";
  std::string txt_separator;
  bool skip_bad_shards = false;
  std::string out;
  bool no_shuffle = false;
  int64_t seed = 42;
  int64_t shard_chars = 250'000'000;
  int64_t row_group = 1024;
  int64_t memory_bytes = 1'000'000'000;
};
void run_data_convert(const CommonOptions& common, const DataConvertOptions& options);

}  // namespace nanochat::cli
