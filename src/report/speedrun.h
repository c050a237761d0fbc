/// Runs the stages of a speedrun, each as a process of this program, and remembers in
/// <base>/speedrun/<preset>.json what has been done with which command on which inputs: a speedrun
/// that was stopped goes on where it was, and what a changed command or input makes void is done
/// again.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "report/speedrun_plan.h"

namespace nanochat {

enum class StageState : uint8_t {
  kToDo,
  kBegun,    ///< stopped before its end; a training goes on from its newest checkpoint
  kChanged,  ///< done or begun with another command or other inputs: all of it again
  kDone,     ///< its output is there, as it left it
};
[[nodiscard]] const char* name_of(StageState state) noexcept;  ///< for people

/// A stage's process did not end well. The exit code is the process's.
class StageFailed : public Error {
 public:
  StageFailed(int code, const std::string& what) : Error(static_cast<ExitCode>(code), what) {}
};

struct SpeedrunContext {
  std::filesystem::path program;  ///< nanochat
  std::filesystem::path base_dir;
  std::vector<std::string> flags{};  ///< that every command gets: --threads 2
  bool to_stderr = false;            ///< what commands print on stdout
  /// The signal that has come for this process; 0: none. Asked all the time.
  std::function<int()> signal{};
};

/// What run() did.
struct StageReport {
  std::string name;
  bool skipped = false;
  double seconds = 0;
};

class Speedrun {
 public:
  /// Throws IoError when another speedrun of this preset works in the base folder, DataError when
  /// its notes cannot be read.
  Speedrun(const SpeedrunPlan& plan, SpeedrunContext context);
  ~Speedrun();
  Speedrun(const Speedrun&) = delete;
  Speedrun& operator=(const Speedrun&) = delete;

  /// The stages from `from` to `until`, both included; empty: the first, the last. Of the first run
  /// in a base folder, the report of whatever was there is forgotten, as upstream does.
  /// A signal is passed on to the stage that runs; when that has ended, run() returns.
  /// Throws UsageError for names that are no stages, StageFailed, IoError.
  std::vector<StageReport> run(const std::string& from = "", const std::string& until = "");

 private:
  void lock();
  void save() const;
  void run_stage(const SpeedrunStage& stage, StageState state);
  [[nodiscard]] std::vector<std::string> arguments(const SpeedrunStage& stage,
                                                   bool overwrite) const;
  [[nodiscard]] int run_process(const std::vector<std::string>& arguments) const;

  const SpeedrunPlan& plan_;
  const SpeedrunContext context_;
  nlohmann::ordered_json notes_;
  int lock_fd_ = -1;
};

/// What run() would find. A stage that reads what is still to do is to do.
[[nodiscard]] std::vector<StageState> speedrun_states(const SpeedrunPlan& plan,
                                                      const std::filesystem::path& base_dir);

/// The indices of the first stage and the one after the last. Throws UsageError, naming the stages.
[[nodiscard]] std::pair<size_t, size_t> stage_range(const SpeedrunPlan& plan,
                                                    const std::string& from,
                                                    const std::string& until);

/// The words of a stage's command with the base folder in place.
[[nodiscard]] std::vector<std::string> command_in(const SpeedrunStage& stage,
                                                  const std::filesystem::path& base_dir);

}  // namespace nanochat
