#include "report/speedrun.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/file.h"
#include "core/log.h"
#include "core/xxh3.h"
#include "report/section.h"
#include "train/run_folder.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr int64_t kMaxNotesBytes = int64_t{16} << 20;
constexpr auto kLockPatience = 10s;  // a killed speedrun's last stage may still be dying
constexpr auto kPollEvery = 20ms;

fs::path notes_file(const SpeedrunPlan& plan, const fs::path& base_dir) {
  return base_dir / "speedrun" / fmt::format("{}.json", plan.preset);
}

Json read_notes(const SpeedrunPlan& plan, const fs::path& base_dir) {
  const fs::path file = notes_file(plan, base_dir);
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return Json::object();
  Json notes = Json::parse(read_file(file, kMaxNotesBytes), nullptr, /*allow_exceptions=*/false);
  const bool good = notes.is_object() && std::ranges::all_of(notes, [](const Json& note) {
                      return note.is_object() && note.contains("command") &&
                             note.contains("inputs") && note.contains("done");
                    });
  if (!good) {
    throw DataError("{}: not a speedrun's notes: remove it, and all stages run again",
                    file.string());
  }
  return notes;
}

/// Of the names and contents of a folder's files; empty when there are none.
std::string folder_id(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  Xxh3 all;
  for (const fs::path& file : files) {
    all.update(file.filename().string());
    all.update(to_hex(digest_of_file(file).xxh3));
  }
  return files.empty() ? "" : to_hex(all.digest());
}

/// Tells what is in a stage's output now from what was or will be; empty when it is not there. Of
/// texts, only that they are there: they are large, and more may have been fetched.
std::string output_id(const SpeedrunStage& stage, const fs::path& base_dir) {
  const fs::path folder = base_dir / stage.output;
  if (stage.trains) {
    const auto step = latest_checkpoint(folder);
    return step ? checkpoint_id(folder / checkpoint_name(*step)) : "";
  }
  if (!stage.name.starts_with("data")) return folder_id(folder);
  std::error_code error;
  const bool empty = fs::directory_iterator(folder, error) == fs::directory_iterator();
  return error || empty ? "" : shell_text(stage.command);
}

const SpeedrunStage& stage_named(const SpeedrunPlan& plan, const std::string& name) {
  const auto found = std::ranges::find(plan.stages, name, &SpeedrunStage::name);
  NC_CHECK(found != plan.stages.end(), "no stage {}", name);
  return *found;
}

Json inputs_of(const SpeedrunPlan& plan, const SpeedrunStage& stage, const fs::path& base_dir) {
  Json inputs = Json::object();
  for (const std::string& need : stage.needs) {
    inputs[need] = output_id(stage_named(plan, need), base_dir);
  }
  return inputs;
}

/// The output and the section are there, and belong to what the note tells of.
bool is_complete(const SpeedrunStage& stage, const Json& note, const fs::path& base_dir) {
  if (stage.output.empty() && stage.section.empty()) return false;  // nothing to go by: run it
  const std::string output = note.value("output", "");
  if (stage.trains) {
    // Not the newest: somebody may have trained on.
    const fs::path checkpoint = base_dir / stage.output / note.value("checkpoint", "none");
    if (output.empty() || checkpoint_id(checkpoint) != output) return false;
  } else if (!stage.output.empty()) {
    if (output.empty() || output_id(stage, base_dir) != output) return false;
  }
  if (stage.section.empty()) return true;
  try {
    const auto section = read_section(base_dir, stage.section);
    if (!section) return false;
    if (section->model_id.empty()) return true;
    if (stage.trains) return section->model_id == output;
    return std::ranges::any_of(note["inputs"],
                               [&](const Json& id) { return id == section->model_id; });
  } catch (const DataError&) {
    return false;
  }
}

StageState state_of(const SpeedrunPlan& plan, const SpeedrunStage& stage, const Json& notes,
                    const fs::path& base_dir) {
  const auto note = notes.find(stage.name);
  if (note == notes.end()) {
    const bool begun = stage.trains && latest_checkpoint(base_dir / stage.output).has_value();
    return begun ? StageState::kBegun : StageState::kToDo;
  }
  if (note->at("command") != stage.command ||
      note->at("inputs") != inputs_of(plan, stage, base_dir)) {
    return StageState::kChanged;
  }
  if (note->at("done") != true) {
    // Killed before it has removed what an earlier command had trained.
    const bool old = stage.trains && note->contains("replaces") &&
                     note->at("replaces") == output_id(stage, base_dir);
    return old ? StageState::kChanged : StageState::kBegun;
  }
  return is_complete(stage, *note, base_dir) ? StageState::kDone : StageState::kToDo;
}

/// What a process's end means, as a shell has it.
int exit_code_of(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

const char* name_of(StageState state) noexcept {
  switch (state) {
    case StageState::kToDo:
      return "to do";
    case StageState::kBegun:
      return "begun";
    case StageState::kChanged:
      return "changed";
    case StageState::kDone:
      return "done";
  }
  return "";
}

std::pair<size_t, size_t> stage_range(const SpeedrunPlan& plan, const std::string& from,
                                      const std::string& until) {
  const auto find = [&](const char* flag, const std::string& name) {
    const auto found = std::ranges::find(plan.stages, name, &SpeedrunStage::name);
    if (found == plan.stages.end()) {
      std::vector<std::string> names;
      for (const SpeedrunStage& stage : plan.stages) names.push_back(stage.name);
      throw UsageError("{} {}: the stages of preset {} are {}", flag, name, plan.preset,
                       fmt::join(names, ", "));
    }
    return static_cast<size_t>(found - plan.stages.begin());
  };
  const size_t begin = from.empty() ? 0 : find("--from", from);
  const size_t end = until.empty() ? plan.stages.size() : find("--until", until) + 1;
  if (begin >= end) throw UsageError("--until {} comes before --from {}", until, from);
  return {begin, end};
}

std::vector<std::string> command_in(const SpeedrunStage& stage, const fs::path& base_dir) {
  constexpr std::string_view kBase = "{base}";
  std::vector<std::string> words = stage.command;
  for (std::string& word : words) {
    if (const size_t at = word.find(kBase); at != std::string::npos) {
      word.replace(at, kBase.size(), base_dir.string());
    }
  }
  return words;
}

std::vector<StageState> speedrun_states(const SpeedrunPlan& plan, const fs::path& base_dir) {
  const Json notes = read_notes(plan, base_dir);
  std::vector<StageState> states;
  std::vector<std::string> undone;
  for (const SpeedrunStage& stage : plan.stages) {
    StageState state = state_of(plan, stage, notes, base_dir);
    const bool waits = std::ranges::any_of(stage.needs, [&](const std::string& need) {
      return std::ranges::find(undone, need) != undone.end();
    });
    if (state == StageState::kDone && waits) state = StageState::kToDo;
    if (state != StageState::kDone) undone.push_back(stage.name);
    states.push_back(state);
  }
  return states;
}

Speedrun::Speedrun(const SpeedrunPlan& plan, SpeedrunContext context)
    : plan_(plan), context_(std::move(context)) {
  std::error_code error;
  const fs::path folder = context_.base_dir / "speedrun";
  fs::create_directories(folder, error);
  if (error) throw_errno("make", folder, error.value());
  lock();
  try {
    notes_ = read_notes(plan_, context_.base_dir);
  } catch (...) {
    ::close(lock_fd_);
    throw;
  }
}

Speedrun::~Speedrun() { ::close(lock_fd_); }

/// The stage's process inherits the descriptor, so the lock is free when both have ended: a stage
/// whose speedrun was killed may not train into the run of the next.
void Speedrun::lock() {
  const fs::path file = context_.base_dir / "speedrun" / fmt::format("{}.lock", plan_.preset);
  lock_fd_ = ::open(file.c_str(), O_RDWR | O_CREAT, 0666);  // not O_CLOEXEC
  if (lock_fd_ < 0) throw_errno("write", file, errno);
  const auto until = Clock::now() + kLockPatience;
  while (::flock(lock_fd_, LOCK_EX | LOCK_NB) != 0) {
    if (Clock::now() > until || (context_.signal && context_.signal() != 0)) {
      ::close(lock_fd_);
      throw IoError("{}: another speedrun of this preset is at work: wait for it, or end it",
                    file.string());
    }
    std::this_thread::sleep_for(100ms);
  }
}

void Speedrun::save() const {
  write_file_atomically(notes_file(plan_, context_.base_dir),
                        notes_.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

std::vector<StageReport> Speedrun::run(const std::string& from, const std::string& until) {
  const auto [begin, end] = stage_range(plan_, from, until);
  if (notes_.empty()) remove_report(context_.base_dir);
  std::vector<StageReport> reports;
  for (size_t i = begin; i < end; ++i) {
    if (context_.signal && context_.signal() != 0) break;
    const SpeedrunStage& stage = plan_.stages[i];
    const StageState state = state_of(plan_, stage, notes_, context_.base_dir);
    if (state == StageState::kDone) {
      log_info("-- {} ({} of {}) is done already", stage.name, i + 1, plan_.stages.size());
      reports.push_back({.name = stage.name, .skipped = true});
      continue;
    }
    log_info("== {} ({} of {}){}: nanochat {}", stage.name, i + 1, plan_.stages.size(),
             state == StageState::kChanged ? ", again, since its command or input has changed" : "",
             shell_text(command_in(stage, context_.base_dir)));
    const auto start = Clock::now();
    run_stage(stage, state);
    reports.push_back({.name = stage.name,
                       .seconds = std::chrono::duration<double>(Clock::now() - start).count()});
  }
  return reports;
}

std::vector<std::string> Speedrun::arguments(const SpeedrunStage& stage, bool overwrite) const {
  std::vector<std::string> words = command_in(stage, context_.base_dir);
  if (stage.trains && overwrite) {
    words.emplace_back("--overwrite");
  } else if (stage.trains) {
    words.insert(words.end(), {"--resume", "latest"});
  }
  words.insert(words.end(), {"--base-dir", context_.base_dir.string()});
  words.insert(words.end(), context_.flags.begin(), context_.flags.end());
  return words;
}

void Speedrun::run_stage(const SpeedrunStage& stage, StageState state) {
  const bool again = state == StageState::kChanged;
  Json& note = notes_[stage.name];
  note = {{"command", stage.command},
          {"inputs", inputs_of(plan_, stage, context_.base_dir)},
          {"done", false}};
  if (again && stage.trains) note["replaces"] = output_id(stage, context_.base_dir);
  save();

  const int code = run_process(arguments(stage, again));
  if (code != 0 && context_.signal && context_.signal() != 0) return;  // it has saved what it had
  if (code != 0) {
    throw StageFailed(
        code == 128 + SIGKILL ? static_cast<int>(ExitCode::kOutOfMemory) : code,
        fmt::format("stage {} {}; run the same speedrun again to go on from there", stage.name,
                    code > 128 ? fmt::format("was ended by signal {}", code - 128)
                               : fmt::format("failed (exit code {})", code)));
  }
  note["done"] = true;
  if (!stage.output.empty()) note["output"] = output_id(stage, context_.base_dir);
  if (stage.trains) {
    const auto step = latest_checkpoint(context_.base_dir / stage.output);
    if (step) note["checkpoint"] = checkpoint_name(*step);
  }
  const bool leaves = !stage.output.empty() || !stage.section.empty();
  if (leaves && !is_complete(stage, note, context_.base_dir)) {
    throw IoError(
        "stage {} has ended, but {} is not as it should be: is somebody else at work "
        "there?",
        stage.name,
        stage.output.empty() ? section_file(context_.base_dir, stage.section).string()
                             : (context_.base_dir / stage.output).string());
  }
  save();
}

/// Exit code of the process, 128 + N where signal N ended it. It is in a process group of its own,
/// so that Ctrl-C in a terminal comes to this process alone, which passes it on once: a second
/// signal would end the stage before it has saved. When this process is killed, so is the stage.
int Speedrun::run_process(const std::vector<std::string>& arguments) const {
  std::vector<std::string> words{context_.program.string()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::fflush(nullptr);

  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) throw_errno("start", context_.program, errno);
  if (child == 0) {  // only what a signal handler may call
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    const int null = ::open("/dev/null", O_RDONLY);
    if (null >= 0) ::dup2(null, STDIN_FILENO);
    if (context_.to_stderr) ::dup2(STDERR_FILENO, STDOUT_FILENO);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  bool passed_on = false;
  for (int status = 0;;) {
    const pid_t ended = ::waitpid(child, &status, WNOHANG);
    if (ended == child) return exit_code_of(status);
    if (ended < 0 && errno != EINTR) throw_errno("wait for", context_.program, errno);
    const int signal = context_.signal ? context_.signal() : 0;
    if (signal != 0 && !passed_on) {
      ::kill(child, signal);
      passed_on = true;
    }
    std::this_thread::sleep_for(kPollEvery);
  }
}

}  // namespace nanochat
