/// Saving and loading a checkpoint, beside what the same disk does with plain files: as many bytes
/// written in pieces of 1 MiB and flushed, as dd conv=fsync does; and read with a cold page cache.
///
///   checkpoint --depth 8 --dir /somewhere/on/the/disk
#include "train/checkpoint.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/error.h"
#include "core/file.h"
#include "model/gpt.h"
#include "optim/classic.h"

namespace nanochat::bench {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPieceBytes = 1 << 20;

template <typename F>
double seconds(F&& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int open_or_throw(const fs::path& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  if (fd < 0) throw_errno("open", path, errno);
  return fd;
}

void write_plain(const fs::path& path, int64_t bytes) {
  const std::string piece(kPieceBytes, 'x');
  const int fd = open_or_throw(path, O_WRONLY | O_CREAT | O_TRUNC);
  for (int64_t done = 0; done < bytes; done += std::ssize(piece)) {
    if (::write(fd, piece.data(), piece.size()) != std::ssize(piece)) {
      throw_errno("write", path, errno);
    }
  }
  if (::fsync(fd) != 0) throw_errno("flush", path, errno);
  ::close(fd);
}

void read_plain(const fs::path& path) {
  std::string piece(kPieceBytes, 'x');
  const int fd = open_or_throw(path, O_RDONLY);
  while (::read(fd, piece.data(), piece.size()) > 0) continue;
  ::close(fd);
}

/// Out of the page cache with a file, or all files of a folder: they have been flushed.
void make_cold(const fs::path& path) {
  if (fs::is_directory(path)) {
    for (const auto& entry : fs::recursive_directory_iterator(path)) {
      if (entry.is_regular_file()) make_cold(entry.path());
    }
    return;
  }
  const int fd = open_or_throw(path, O_RDONLY);
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  ::close(fd);
}

int64_t size_of_folder(const fs::path& folder) {
  int64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) bytes += static_cast<int64_t>(entry.file_size());
  }
  return bytes;
}

int64_t peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

int run(int argc, char** argv) {
  int64_t depth = 8, rounds = 5;
  std::string dir = fs::temp_directory_path().string();
  CLI::App app("Checkpoints against the disk's own rate");
  app.add_option("--depth", depth)->capture_default_str();
  app.add_option("--rounds", rounds, "of which the median counts")->capture_default_str();
  app.add_option("--dir", dir, "on the disk to measure")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  const fs::path scratch = fs::path(dir) / fmt::format("nanochat-bench-{}", ::getpid());
  const GptConfig config = GptConfig::from_depth(depth, 32768, 512);
  Gpt model(config, cpu_backend());
  model.init_weights(1);
  ClassicOptimizer optimizer(cpu_backend(), model.parameters(), {.n_embd = config.n_embd});
  const int64_t before = peak_bytes();
  std::vector<double> plain_write, save, plain_read, load, load_warm;
  int64_t bytes = 0, saved_peak = 0;
  {
    const RunFolder folder(scratch);
    const fs::path plain = scratch / "plain";
    for (int64_t i = 0; i < rounds; ++i) {  // side by side: the disk has moods
      const auto save_one = [&] { save_checkpoint(folder, 1, model, state_of(optimizer), {}); };
      const fs::path checkpoint = scratch / checkpoint_name(1);
      fs::remove_all(checkpoint);
      save.push_back(seconds(save_one));
      if (i == 0) saved_peak = peak_bytes();
      bytes = size_of_folder(checkpoint);
      fs::remove(plain);
      plain_write.push_back(seconds([&] { write_plain(plain, bytes); }));
      const auto load_one = [&] {
        const Checkpoint opened(checkpoint);
        opened.load_model(model);
        opened.load_optimizer(cpu_backend(), state_of(optimizer));
      };
      make_cold(checkpoint);
      load.push_back(seconds(load_one));
      load_warm.push_back(seconds(load_one));
      make_cold(plain);
      plain_read.push_back(seconds([&] { read_plain(plain); }));
    }
  }
  fs::remove_all(scratch);

  const auto rate = [&](const std::vector<double>& times) {
    return static_cast<double>(bytes) / median(times) / 1e6;
  };
  fmt::print("checkpoint of depth {}: {:.0f} MB in {}, median of {}\n", depth,
             static_cast<double>(bytes) / 1e6, dir, rounds);
  fmt::print("save        {:>6.0f} MB/s, plain write and flush {:>6.0f}: {:.2f} of the disk\n",
             rate(save), rate(plain_write), rate(save) / rate(plain_write));
  fmt::print("load, cold  {:>6.0f} MB/s, plain read            {:>6.0f}: {:.2f} of the disk\n",
             rate(load), rate(plain_read), rate(load) / rate(plain_read));
  fmt::print("load, warm  {:>6.0f} MB/s\n", rate(load_warm));
  fmt::print("saving adds {:.1f} MB to the peak memory of {:.0f}\n",
             static_cast<double>(saved_peak - before) / 1e6, static_cast<double>(before) / 1e6);
  return 0;
}

}  // namespace
}  // namespace nanochat::bench

int main(int argc, char** argv) {
  try {
    return nanochat::bench::run(argc, argv);
  } catch (const nanochat::Error& e) {
    fmt::print(stderr, "checkpoint: {}\n", e.what());
    return static_cast<int>(e.exit_code());
  }
}
