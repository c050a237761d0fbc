#include "core/file.h"

#include <csignal>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.h"
#include "core/mapped_file.h"
#include "core/tensor.h"
#include "support/refusal.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMiB = 1 << 20;

class FileTest : public ::testing::Test {
 protected:
  FileTest() {
    std::string pattern = (fs::temp_directory_path() / "nanochat-file-test-XXXXXX").string();
    dir_ = ::mkdtemp(pattern.data());
  }
  ~FileTest() override {
    std::error_code ignored;
    fs::remove_all(dir_, ignored);
  }
  /// Names in the folder, temporaries included.
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(dir_)) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }
  using Names = std::vector<std::string>;

  fs::path dir_;
};

/// Runs f, which must throw an E whose text holds all of `parts`.
template <typename E>
void expect_error(const std::function<void()>& f, const std::vector<std::string>& parts) {
  const std::string message = test::refusal<E>(f);
  for (const std::string& part : parts) EXPECT_SAYS(message, part);
}

/// Runs f in a child process and gives its wait status; f's exit code is 0 unless it throws.
int in_child(const std::function<void()>& f) {
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
  return status;
}

TEST_F(FileTest, WritesAndReadsBackBytesOfEverySize) {
  for (const int64_t size : {0L, 1L, 4095L, 262143L, 262144L, 262145L, 3 * kMiB + 7}) {
    SCOPED_TRACE(size);
    std::string bytes(static_cast<size_t>(size), '\0');
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 + i / 256);
    write_file_atomically(dir_ / "f", bytes);
    EXPECT_EQ(read_file(dir_ / "f", size), bytes);
    EXPECT_EQ(names(), Names{"f"});
  }
}

TEST_F(FileTest, StreamsSmallAndLargePiecesInOrder) {
  std::string expected;
  AtomicFile file(dir_ / "f");
  for (size_t i = 0; i < 300; ++i) {
    const std::string piece(i % 7 == 0 ? 100'000 + i : i, static_cast<char>('a' + i % 26));
    file.write(piece);
    expected += piece;
  }
  EXPECT_EQ(file.size_bytes(), static_cast<int64_t>(expected.size()));
  EXPECT_FALSE(fs::exists(dir_ / "f")) << "nothing under the name before the commit";
  file.commit();
  EXPECT_EQ(read_file(dir_ / "f", 100 * kMiB), expected);
}

TEST_F(FileTest, WithoutCommitTheOldFileStaysAndNothingElse) {
  write_file_atomically(dir_ / "f", "old");
  {
    AtomicFile file(dir_ / "f");
    file.write(std::string(kMiB, 'n'));
  }
  EXPECT_EQ(read_file(dir_ / "f", 10), "old");
  EXPECT_EQ(names(), Names{"f"});
}

TEST_F(FileTest, ReplacingKeepsThePermissionBits) {
  write_file_atomically(dir_ / "f", "old");
  fs::permissions(dir_ / "f", fs::perms(0640));
  write_file_atomically(dir_ / "f", "new");
  EXPECT_EQ(fs::status(dir_ / "f").permissions(), fs::perms(0640));
}

TEST_F(FileTest, ANewFileHasThePermissionsOfTheUmask) {
  const mode_t before = ::umask(027);
  write_file_atomically(dir_ / "f", "x");
  ::umask(before);
  EXPECT_EQ(fs::status(dir_ / "f").permissions(), fs::perms(0640));
}

TEST_F(FileTest, FollowsASymbolicLink) {
  fs::create_directory(dir_ / "other");
  write_file_atomically(dir_ / "other" / "f", "old");
  fs::create_symlink(dir_ / "other" / "f", dir_ / "link");
  write_file_atomically(dir_ / "link", "new");
  EXPECT_TRUE(fs::is_symlink(dir_ / "link"));
  EXPECT_EQ(read_file(dir_ / "other" / "f", 10), "new");
  fs::create_symlink("other/fresh", dir_ / "dangling");
  write_file_atomically(dir_ / "dangling", "made");
  EXPECT_EQ(read_file(dir_ / "other" / "fresh", 10), "made");
  fs::create_symlink("circle", dir_ / "circle");
  expect_error<IoError>([&] { write_file_atomically(dir_ / "circle", "x"); }, {"circle"});
}

TEST_F(FileTest, AcceptsAPathWithoutAFolder) {
  const fs::path before = fs::current_path();
  fs::current_path(dir_);
  write_file_atomically("bare", "x");
  EXPECT_EQ(read_file("bare", 10), "x");
  fs::current_path(before);
}

TEST_F(FileTest, SaysWhatIsMissing) {
  const fs::path missing = dir_ / "no such folder" / "f";
  expect_error<NotFoundError>(
      [&] { static_cast<void>(read_file(missing, 10)); },
      {missing.string(), "No such file or directory", "check the spelling"});
  expect_error<NotFoundError>([&] { static_cast<void>(map_file(missing)); }, {missing.string()});
  expect_error<NotFoundError>([&] { write_file_atomically(missing, "x"); }, {missing.string()});
  write_file_atomically(dir_ / "f", "x");
  expect_error<NotFoundError>([&] { static_cast<void>(read_file(dir_ / "f" / "g", 10)); },
                              {"Not a directory"});
}

TEST_F(FileTest, RefusesAFolder) {
  expect_error<IoError>([&] { static_cast<void>(read_file(dir_, 10)); },
                        {dir_.string(), "Is a directory"});
  expect_error<IoError>([&] { static_cast<void>(map_file(dir_)); },
                        {dir_.string(), "Is a directory"});
  expect_error<IoError>([&] { write_file_atomically(dir_, "x"); },
                        {dir_.string(), "Is a directory"});
  EXPECT_TRUE(fs::is_directory(dir_));
}

TEST_F(FileTest, SaysWhenPermissionIsDenied) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read and write everything";
  write_file_atomically(dir_ / "f", "x");
  fs::permissions(dir_ / "f", fs::perms::none);
  const std::vector<std::string> parts{"Permission denied", "check the permissions"};
  expect_error<IoError>([&] { static_cast<void>(read_file(dir_ / "f", 10)); }, parts);
  expect_error<IoError>([&] { static_cast<void>(map_file(dir_ / "f")); }, parts);
  fs::permissions(dir_, fs::perms::owner_read | fs::perms::owner_exec);
  expect_error<IoError>([&] { write_file_atomically(dir_ / "g", "x"); }, parts);
  fs::permissions(dir_, fs::perms::owner_all);
}

TEST_F(FileTest, ReadingRefusesMoreThanTheCallerExpects) {
  write_file_atomically(dir_ / "f", "12345");
  EXPECT_EQ(read_file(dir_ / "f", 5), "12345");
  expect_error<DataError>([&] { static_cast<void>(read_file(dir_ / "f", 4)); },
                          {(dir_ / "f").string(), "larger than the 4 bytes"});
  // Not known beforehand: /dev/zero has no end and no size.
  expect_error<DataError>([&] { static_cast<void>(read_file("/dev/zero", kMiB)); },
                          {"/dev/zero", "larger than"});
}

TEST_F(FileTest, ReadsFilesWhoseSizeIsNotKnownBeforehand) {
  EXPECT_NE(read_file("/proc/self/status", kMiB).find("VmPeak"), std::string::npos);
}

TEST_F(FileTest, AFullDiskIsAnErrorThatSaysSo) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  const std::vector<std::string> parts{"/dev/full", "No space left on device", "free some space"};
  expect_error<IoError>([] { write_file_atomically("/dev/full", "x"); }, parts);
  expect_error<IoError>([] { write_file_atomically("/dev/full", std::string(kMiB, 'x')); }, parts);
  EXPECT_TRUE(fs::is_character_file("/dev/full")) << "a device must not be replaced by a file";
}

TEST_F(FileTest, WritesStraightIntoWhatIsNoRegularFile) {
  write_file_atomically("/dev/null", "x");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

// A limit on file sizes fails in the middle of writing, as a full disk does.
TEST_F(FileTest, WhenWritingFailsTheOldFileStaysAndTheTemporaryGoes) {
  write_file_atomically(dir_ / "f", "old");
  const int status = in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{static_cast<rlim_t>(kMiB), static_cast<rlim_t>(kMiB)};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) throw std::runtime_error("setrlimit");
    try {
      AtomicFile file(dir_ / "f");
      for (int i = 0; i < 8; ++i) file.write(std::string(kMiB / 2, 'n'));
      file.commit();
      throw std::runtime_error("4 MiB went into 1");
    } catch (const IoError& e) {
      if (std::string(e.what()).find("ulimit -f") == std::string::npos) throw;
    }
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(read_file(dir_ / "f", 10), "old");
  EXPECT_EQ(names(), Names{"f"});
}

TEST_F(FileTest, KilledInTheMiddleTheOldFileIsIntact) {
  write_file_atomically(dir_ / "f", "old");
  for (const int64_t written : {int64_t{1}, kMiB / 2, 5 * kMiB}) {
    SCOPED_TRACE(written);
    const int status = in_child([&] {
      AtomicFile file(dir_ / "f");
      file.write(std::string(static_cast<size_t>(written), 'n'));
      ::kill(::getpid(), SIGKILL);
    });
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
    EXPECT_EQ(read_file(dir_ / "f", 10), "old");
  }
  // What is left over does not disturb the next writer.
  write_file_atomically(dir_ / "f", "new");
  EXPECT_EQ(read_file(dir_ / "f", 10), "new");
}

/// A child replaces the file again and again and is killed at some moment, wherever it then is.
TEST_F(FileTest, KilledAtAnyMomentTheFileIsTheOldOneOrTheNewOne) {
  const auto contents = [](int i) { return std::string(100'000, static_cast<char>('a' + i % 26)); };
  write_file_atomically(dir_ / "f", contents(0));
  for (int round = 0; round < 20; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (int i = 0;; ++i) write_file_atomically(dir_ / "f", contents(i));
    }
    ::usleep(static_cast<useconds_t>(1000 + 700 * round));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    const std::string found = read_file(dir_ / "f", kMiB);
    ASSERT_EQ(found.size(), 100'000U) << "round " << round;
    ASSERT_EQ(found.find_first_not_of(found[0]), std::string::npos) << "round " << round;
  }
}

TEST_F(FileTest, ConcurrentWritersNeverMixTheirBytes) {
  constexpr int kWriters = 4, kRounds = 25;
  write_file_atomically(dir_ / "f", std::string(50'000, 'a'));
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; i < kRounds; ++i) {
        write_file_atomically(dir_ / "f", std::string(50'000, static_cast<char>('a' + w)));
      }
    });
  }
  for (int i = 0; i < 100; ++i) {
    const std::string found = read_file(dir_ / "f", kMiB);
    EXPECT_EQ(found.size(), 50'000U);
    EXPECT_EQ(found.find_first_not_of(found[0]), std::string::npos);
  }
  for (std::thread& w : writers) w.join();
  EXPECT_EQ(names(), Names{"f"});
}

TEST_F(FileTest, WritingAfterTheCommitIsABug) {
  EXPECT_DEATH(
      {
        AtomicFile file(dir_ / "f");
        file.commit();
        file.write("more");
      },
      "written after its commit");
  EXPECT_DEATH(
      {
        AtomicFile file(dir_ / "f");
        file.commit();
        file.commit();
      },
      "committed twice");
}

TEST_F(FileTest, MapsAFileThatTensorsCanLookInto) {
  std::vector<float> values(5000);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) / 8;
  write_file_atomically(dir_ / "f", std::as_bytes(std::span(values)));
  Tensor row;
  {
    const StoragePtr storage = map_file(dir_ / "f");
    ASSERT_EQ(storage->size_bytes(), 20'000);
    const Tensor all(storage, 0, {50, 100}, DType::kF32);
    row = all.rows(7, 8);
  }
  fs::remove(dir_ / "f");  // the mapping outlives the name
  EXPECT_EQ(row.data<float>()[3], 703.0F / 8);
}

TEST_F(FileTest, AMappingShowsTheOldContentsAfterAReplacement) {
  write_file_atomically(dir_ / "f", "old");
  const StoragePtr storage = map_file(dir_ / "f");
  write_file_atomically(dir_ / "f", "new and longer");
  EXPECT_EQ(storage->size_bytes(), 3);
  EXPECT_EQ(std::memcmp(storage->data(), "old", 3), 0);
}

TEST_F(FileTest, UnmapsWithTheLastReference) {
  write_file_atomically(dir_ / "f", std::string(4096, 'x'));
  StoragePtr storage = map_file(dir_ / "f");
  void* const address = storage->data();
  EXPECT_EQ(::msync(address, 4096, MS_ASYNC), 0);
  storage = {};
  EXPECT_NE(::msync(address, 4096, MS_ASYNC), 0) << "still mapped";
}

TEST_F(FileTest, MapsAnEmptyFileAsNothing) {
  write_file_atomically(dir_ / "f", "");
  const StoragePtr storage = map_file(dir_ / "f");
  ASSERT_TRUE(storage);
  EXPECT_EQ(storage->size_bytes(), 0);
  const Tensor empty(storage, 0, {0, 4}, DType::kF32);
  EXPECT_EQ(empty.numel(), 0);
}

TEST_F(FileTest, RefusesToMapPipesAndDevices) {
  expect_error<IoError>([] { static_cast<void>(map_file("/dev/zero")); },
                        {"/dev/zero", "not a regular file"});
  ASSERT_EQ(::mkfifo((dir_ / "pipe").c_str(), 0600), 0);
  expect_error<IoError>([&] { static_cast<void>(map_file(dir_ / "pipe")); },
                        {"not a regular file"});  // and does not wait for a writer
}

}  // namespace
}  // namespace nanochat
