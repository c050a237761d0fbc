/// nanochat data tokenize, as the command line gave it.
#pragma once

#include <string>
#include <vector>

#include "cli/commands.h"

namespace nanochat::cli {

struct DataTokenizeOptions {
  std::vector<std::string> data;
  std::string text_field = "text";
  std::string txt_separator;
  bool skip_bad_shards = false;
  std::string tokenizer = "default";
  std::string out;
};
void run_data_tokenize(const CommonOptions& common, const DataTokenizeOptions& options);

}  // namespace nanochat::cli
