// labels: fault
/// Checkpoints that meet damage, full disks and sudden death.
#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.h"
#include "core/file.h"
#include "core/parallel.h"
#include "support/refusal.h"
#include "support/temporary_folder.h"
#include "train/checkpoint.h"
#include "train/small_run.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using test::refusal;
using test::SmallRun;
using ::testing::HasSubstr;

std::string bytes_of(const fs::path& path) { return read_file(path, int64_t{1} << 30); }

/// In place, as damage comes.
void overwrite(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::ssize(bytes));
}

void overwrite_byte(const fs::path& path, size_t at, char byte) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(at));
  file.put(byte);
}

class CheckpointFaultTest : public ::testing::Test {
 protected:
  // One thread: a child made by fork has no others, and OpenMP would wait for them.
  CheckpointFaultTest() { set_num_threads(1); }

  /// The state holds the step, so that a mixture of two checkpoints shows.
  static fs::path save(const RunFolder& run, SmallRun& small, int64_t step) {
    const std::vector<int32_t> tokens{1, 2, static_cast<int32_t>(step)};
    const std::vector<NamedTensor> loader{{"tokens", tensor_of<int32_t>(tokens, {3})}};
    Json state;
    state["data"]["cursor"] = 100 * step;
    return save_checkpoint(run, step, small.model, state_of(small.optimizer), state, loader);
  }

  /// Opens the checkpoint of `step`, every byte verified, and looks whether all its parts are of
  /// that step. Returns its state.
  static void expect_whole(const fs::path& run, int64_t step) {
    const Checkpoint checkpoint(run / checkpoint_name(step));
    EXPECT_EQ(checkpoint.step(), step);
    EXPECT_EQ(checkpoint.state()["data"]["cursor"], 100 * step);
    const auto loader = checkpoint.loader_tensors();
    ASSERT_EQ(loader.size(), 1U);
    EXPECT_EQ(loader[0].tensor.data<int32_t>()[2], step);
    SmallRun loaded(99);
    checkpoint.load_model(loaded.model);
    checkpoint.load_optimizer(cpu_backend(), state_of(loaded.optimizer));
    EXPECT_EQ(loaded.optimizer.adamw.n_steps(), step);
    EXPECT_EQ(loaded.optimizer.muon.n_steps(), step);
  }

  /// Files of a folder, by their names within it.
  static std::vector<std::string> files_in(const fs::path& folder) {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file()) {
        names.push_back(entry.path().lexically_relative(folder).string());
      }
    }
    return names;
  }

  /// The step-1 checkpoint whose files the test damages.
  fs::path damaged_checkpoint() {
    const RunFolder run(path_);
    SmallRun small;
    small.step(0);
    return save(run, small, 1);
  }

  /// Opening must fail, and name the file.
  static void expect_refused(const fs::path& checkpoint, const std::string& file) {
    const std::string message = refusal<DataError>([&] { const Checkpoint c(checkpoint); });
    ASSERT_THAT(message, HasSubstr((checkpoint / file).string() + ": "));
    ASSERT_EQ(message.find('\n'), std::string::npos) << message;
  }

  test::TemporaryFolder temporary_;
  const fs::path path_ = temporary_ / "run";
};

TEST_F(CheckpointFaultTest, EveryFlippedBitIsFoundAndTheFileNamed) {
  const fs::path checkpoint = damaged_checkpoint();
  const std::vector<std::string> files = files_in(checkpoint);
  ASSERT_EQ(files.size(), 5U);
  size_t n_flips = 0;
  for (const std::string& file : files) {
    const std::string good = bytes_of(checkpoint / file);
    // Every byte of the small files; of tensor files the header's beginning, then every so often.
    const size_t whole = file.ends_with(".json") ? good.size() : 64;
    for (size_t at = 0; at < good.size(); at += at < whole ? 1 : 61, ++n_flips) {
      SCOPED_TRACE(fmt::format("{}, byte {} of {}", file, at, good.size()));
      overwrite_byte(checkpoint / file, at, static_cast<char>(good[at] ^ (1 << at % 8)));
      ASSERT_NO_FATAL_FAILURE(expect_refused(checkpoint, file));
      overwrite_byte(checkpoint / file, at, good[at]);
    }
  }
  EXPECT_GT(n_flips, 1500U);
  expect_whole(path_, 1);
}

TEST_F(CheckpointFaultTest, EveryTruncationAndEveryAdditionIsFoundAndTheFileNamed) {
  const fs::path checkpoint = damaged_checkpoint();
  for (const std::string& file : files_in(checkpoint)) {
    const std::string good = bytes_of(checkpoint / file);
    for (const size_t size : {size_t{0}, size_t{1}, good.size() / 2, good.size() - 1}) {
      SCOPED_TRACE(fmt::format("{} cut to {} of {}", file, size, good.size()));
      overwrite(checkpoint / file, good.substr(0, size));
      ASSERT_NO_FATAL_FAILURE(expect_refused(checkpoint, file));
    }
    overwrite(checkpoint / file, good + "\n");
    ASSERT_NO_FATAL_FAILURE(expect_refused(checkpoint, file));
    overwrite(checkpoint / file, good);
  }
  expect_whole(path_, 1);
}

TEST_F(CheckpointFaultTest, AMissingFileIsNamed) {
  const fs::path checkpoint = damaged_checkpoint();
  for (const std::string& file : files_in(checkpoint)) {
    const std::string good = bytes_of(checkpoint / file);
    fs::remove(checkpoint / file);
    if (file == kManifestFileName) {
      EXPECT_THAT(refusal<NotFoundError>([&] { const Checkpoint c(checkpoint); }),
                  HasSubstr("it has no manifest.json"));
    } else {
      ASSERT_NO_FATAL_FAILURE(expect_refused(checkpoint, file));
    }
    overwrite(checkpoint / file, good);
  }
  fs::remove_all(checkpoint / "optim");
  expect_refused(checkpoint, "optim/rank_0.safetensors");
}

TEST_F(CheckpointFaultTest, AFileThatDoesNotBelongThereIsNamed) {
  const fs::path checkpoint = damaged_checkpoint();
  for (const std::string file : {"notes.txt", "optim/rank_1.safetensors", "optim/more/x"}) {
    fs::create_directories((checkpoint / file).parent_path());
    overwrite(checkpoint / file, "x");
    ASSERT_NO_FATAL_FAILURE(
        expect_refused(checkpoint, file == "optim/more/x" ? "optim/more" : file));
    fs::remove(checkpoint / file);
  }
  fs::remove(checkpoint / "optim" / "more");
  expect_whole(path_, 1);
  fs::create_directory(checkpoint / "empty");
  expect_refused(checkpoint, "empty");
}

TEST_F(CheckpointFaultTest, FilesOfAnotherCheckpointAreRefused) {
  const RunFolder run(path_);
  SmallRun small;
  small.step(0);
  const fs::path first = save(run, small, 1);
  small.step(1);
  const fs::path second = save(run, small, 2);
  for (const std::string& file : files_in(first)) {
    const std::string good = bytes_of(first / file);
    overwrite(first / file, bytes_of(second / file));
    if (file == kManifestFileName) {  // then it is the folder that has another step's name
      EXPECT_THAT(refusal<DataError>([&] { const Checkpoint c(first); }),
                  HasSubstr("step_000001: holds step 2"));
    } else {
      ASSERT_NO_FATAL_FAILURE(expect_refused(first, file));
    }
    overwrite(first / file, good);
  }
}

TEST_F(CheckpointFaultTest, TheModelAloneIsReadWithoutTheOptimizersDamageWhichResumingFinds) {
  const fs::path checkpoint = damaged_checkpoint();
  const fs::path file = checkpoint / "optim" / "rank_0.safetensors";
  std::string bytes = bytes_of(file);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  overwrite(file, bytes);
  const Checkpoint opened(checkpoint, CheckpointUse::kModel);
  SmallRun loaded(2);
  opened.load_model(loaded.model);
  EXPECT_THAT(
      refusal<DataError>([&] { opened.load_optimizer(cpu_backend(), state_of(loaded.optimizer)); }),
      HasSubstr(file.string() + ": is damaged"));
}

/// A child saves and prunes without end and is killed at some moment, wherever it then is.
TEST_F(CheckpointFaultTest, KilledAtAnyMomentTheNewestCheckpointIsWhole) {
  constexpr int kRounds = 25, kKeep = 2;
  std::mt19937 random(7);
  int64_t newest = 0, n_leftovers = 0;
  int saved[2];  // the child puts a byte into this pipe after each save
  ASSERT_EQ(::pipe(saved), 0);
  for (int round = 0; round < kRounds; ++round) {
    SCOPED_TRACE(fmt::format("round {}", round));
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);  // or the kill below would reach every process there is
    if (child == 0) {
      try {
        const RunFolder run(path_);
        SmallRun small;
        const auto latest = latest_checkpoint(path_);
        if (latest) {
          const Checkpoint checkpoint(path_ / checkpoint_name(*latest));
          checkpoint.load_model(small.model);
          checkpoint.load_optimizer(cpu_backend(), state_of(small.optimizer));
          save(run, small, *latest);  // replaces itself, by itself
        }
        for (int64_t step = latest.value_or(0) + 1;; ++step) {
          small.step(step);
          save(run, small, step);
          static_cast<void>(!::write(saved[1], "x", 1));
          prune_checkpoints(run, kKeep);
        }
      } catch (const std::exception& e) {
        std::fprintf(stderr, "child: %s\n", e.what());
      }
      ::_exit(99);
    }
    // A moment anywhere in the time of one save, however long saves take here and now.
    using Clock = std::chrono::steady_clock;
    char byte = 0;
    ASSERT_EQ(::read(saved[0], &byte, 1), 1);
    const auto begin = Clock::now();
    ASSERT_EQ(::read(saved[0], &byte, 1), 1);
    const auto one_save = Clock::now() - begin;
    std::this_thread::sleep_for(std::uniform_real_distribution<>(0, 1.2)(random) * one_save);
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << status;
    ::fcntl(saved[0], F_SETFL, O_NONBLOCK);
    while (::read(saved[0], &byte, 1) == 1) continue;  // those of this child's last saves
    ::fcntl(saved[0], F_SETFL, 0);
    for (const auto& entry : fs::directory_iterator(path_)) {
      n_leftovers += entry.path().filename().string().starts_with('.');
    }
    const std::vector<int64_t> steps = list_checkpoints(path_);
    EXPECT_LE(std::ssize(steps), kKeep + 1);
    for (const int64_t step : steps) ASSERT_NO_FATAL_FAILURE(expect_whole(path_, step));
    if (!steps.empty()) {
      EXPECT_GE(steps.back(), newest) << "a checkpoint was lost";
      newest = steps.back();
    }
  }
  EXPECT_GE(newest, kRounds) << "each child has saved";
  EXPECT_GT(n_leftovers, 0) << "never killed while saving";
  const RunFolder run(path_);
  for (const auto& entry : fs::directory_iterator(path_)) {
    EXPECT_FALSE(entry.path().filename().string().starts_with('.')) << entry.path();
  }
}

/// Runs f in a child process; true when it did not throw.
bool succeeds_in_child(const std::function<void()>& f) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      f();
    } catch (const std::exception& e) {
      std::fprintf(stderr, "child: %s\n", e.what());
      ::_exit(99);
    }
    ::_exit(0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return status == 0;
}

TEST_F(CheckpointFaultTest, ALimitOnFileSizesIsAnErrorAndNothingIsLeftOver) {
  const RunFolder run(path_);
  SmallRun small;
  small.step(0);
  const fs::path checkpoint = save(run, small, 1);
  for (const char* const file :
       {"model.safetensors", "optim/rank_0.safetensors", "state.json", "manifest.json"}) {
    const auto size = fs::file_size(checkpoint / file);
    EXPECT_TRUE(succeeds_in_child([&] {
      std::signal(SIGXFSZ, SIG_IGN);
      const rlimit limit{size - 1, size - 1};
      if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) throw std::runtime_error("setrlimit");
      try {
        save(run, small, 2);
      } catch (const IoError& e) {
        const std::string message = e.what();
        if (message.find("/step_000002/") != std::string::npos &&
            message.find("ulimit -f") != std::string::npos) {
          return;
        }
        throw;
      }
      throw std::runtime_error("saved over the limit");
    })) << file;
    EXPECT_EQ(list_checkpoints(path_), std::vector<int64_t>{1});
    expect_whole(path_, 1);
  }
  for (const auto& entry : fs::directory_iterator(path_)) {
    EXPECT_FALSE(entry.path().filename().string().starts_with('.')) << entry.path();
  }
}

/// A small disk of its own, which only root can have.
class SmallDisk {
 public:
  explicit SmallDisk(const fs::path& path, const char* options) : path_(path) {
    fs::create_directories(path);
    mounted_ = ::mount("tmpfs", path.c_str(), "tmpfs", 0, options) == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  [[nodiscard]] bool mounted() const noexcept { return mounted_; }

 private:
  fs::path path_;
  bool mounted_ = false;
};

TEST_F(CheckpointFaultTest, AFullDiskIsOneErrorAndEarlierCheckpointsAreIntact) {
  const SmallDisk disk(path_, "size=1m");
  if (!disk.mounted()) GTEST_SKIP() << "only root can mount a small disk to fill";
  const RunFolder run(path_);
  SmallRun small;
  small.step(0);
  const auto free_bytes = [&] { return static_cast<int64_t>(fs::space(path_).available); };
  const int64_t before = free_bytes();
  const fs::path checkpoint = save(run, small, 1);
  const int64_t needed = before - free_bytes();
  ASSERT_GT(free_bytes(), 2 * needed) << "the disk is too small for the test";
  // So full that the next one fails in its first file, in its last one, and everywhere between.
  for (int64_t tenth = 0; tenth < 10; ++tenth) {
    SCOPED_TRACE(fmt::format("{} tenths of the room", tenth));
    const int64_t filling = free_bytes() - needed * tenth / 10;
    overwrite(path_ / "filler", std::string(static_cast<size_t>(filling), 'x'));
    const std::string message = refusal<IoError>([&] { save(run, small, 2); });
    EXPECT_THAT(message, HasSubstr("/step_000002"));
    EXPECT_THAT(message, HasSubstr("No space left on device: free some space or choose another "
                                   "disk with --base-dir (earlier checkpoints are intact)"));
    EXPECT_EQ(list_checkpoints(path_), std::vector<int64_t>{1});
    for (const auto& entry : fs::directory_iterator(path_)) {
      EXPECT_FALSE(entry.path().filename().string().starts_with('.')) << entry.path();
    }
    expect_whole(path_, 1);
    fs::remove(path_ / "filler");
  }
  small.step(1);
  save(run, small, 2);
  expect_whole(path_, 2);
}

}  // namespace
}  // namespace nanochat
