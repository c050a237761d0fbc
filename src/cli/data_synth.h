/// nanochat data synth, as the command line gave it.
#pragma once

#include <cstdint>
#include <string>

#include "cli/commands.h"

namespace nanochat::cli {

struct DataSynthOptions {
  std::string out;  ///< empty: <base>/data/synth
  int64_t seed = 1;
  double size_mb = 24;    ///< of training text
  int64_t documents = 0;  ///< not 0: instead of size_mb
  std::string language = "both";
  int64_t conversations = 10'000;
  bool overwrite = false;
};
void run_data_synth(const CommonOptions& common, const DataSynthOptions& options);

}  // namespace nanochat::cli
