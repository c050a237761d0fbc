/// nanochat report: options as the command line gave them, and what it runs.
#pragma once

#include <string>

#include "cli/commands.h"

namespace nanochat::cli {

struct ReportOptions {
  std::string out;     ///< a folder; empty: <base>/report
  bool reset = false;  ///< remove what is recorded, write nothing
};
/// Throws IoError; NotFoundError when nothing has been recorded yet.
void run_report(const CommonOptions& common, const ReportOptions& options);

}  // namespace nanochat::cli
