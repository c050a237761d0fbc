#include <memory>

#include "cli/command_line.h"
#include "cli/option_types.h"
#include "cli/report.h"

namespace nanochat::cli {

void add_report_command(CLI::App& app, CommonOptions& common, Action& action) {
  const auto o = std::make_shared<ReportOptions>();
  CLI::App& report =
      add_command(app, "report", "write report.md and report.html, one page with all curves",
                  common, action, o, run_report);
  report.add_option("--out", o->out, "the folder (default: <base>/report)")->type_name("DIR");
  report.add_flag("--reset", o->reset,
                  "forget what has been recorded, before all is trained again; write nothing");
  add_common_options(report, common);
}

}  // namespace nanochat::cli
