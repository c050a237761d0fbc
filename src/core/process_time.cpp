#include "core/process_time.h"

#include <ctime>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include <unistd.h>

namespace nanochat {
namespace {

/// Seconds since the machine started, sleep included: the clock of /proc/<pid>/stat.
double since_boot() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

const double first_static_object = since_boot();

/// Field 22 of /proc/self/stat (man 5 proc).
double read_start() {
  std::ifstream file("/proc/self/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const size_t name_end = text.rfind(')');  // the name may hold anything
  if (name_end == std::string::npos) return first_static_object;
  std::istringstream fields(text.substr(name_end + 1));
  std::string skipped;
  for (int field = 3; field < 22; ++field) fields >> skipped;
  double ticks = -1;
  fields >> ticks;
  const double start = ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
  // Another clock (an emulator's, a container's) would give nonsense.
  const bool plausible = fields && start > 0 && start <= first_static_object + 0.01;
  return plausible ? start : first_static_object;
}

}  // namespace

double seconds_since_process_start() {
  static const double start = read_start();
  return since_boot() - start;
}

}  // namespace nanochat
