/// A run's folder, and the checkpoints in it: <run>/step_000100/, <run>/step_000200/, ...
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nanochat {

/// In every complete checkpoint; checkpoint_manifest.h.
inline constexpr std::string_view kManifestFileName = "manifest.json";
/// Beside a checkpoint's own files may lie what was made from them: packed weights.
inline constexpr std::string_view kPackedPrefix = "packed-";

/// A run's folder, held by this process alone as long as the object lives: nobody else can train
/// into it. Readers (sampling while training) need no lock.
class RunFolder {
 public:
  /// Makes the folder when it is missing, takes the lock `run.lock` (flock: it ends with the
  /// process, however that ends), and removes what saves and prunes of processes that were killed
  /// have left. Throws IoError naming the process that holds the lock, or as core/file.h.
  explicit RunFolder(const std::filesystem::path& path);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  void lock();
  void remove_leftovers() const;

  std::filesystem::path path_;
  int lock_fd_ = -1;
};

/// Whether a process trains into the folder now. Costs a system call or two, changes nothing, and
/// does not disturb a process that is about to take the lock. No, where that cannot be told.
[[nodiscard]] bool is_being_trained(const std::filesystem::path& run_folder);

/// "step_000100".
[[nodiscard]] std::string checkpoint_name(int64_t step);
/// The step in such a name; none for any other.
[[nodiscard]] std::optional<int64_t> parse_checkpoint_name(std::string_view name);
/// Complete checkpoints in the folder, ascending; none when there is no such folder. Completeness
/// needs no reading: a checkpoint gets its name when it is complete.
[[nodiscard]] std::vector<int64_t> list_checkpoints(const std::filesystem::path& run_folder);
[[nodiscard]] std::optional<int64_t> latest_checkpoint(const std::filesystem::path& run_folder);

/// Removes one checkpoint. It loses its name before its files, so no half of one is ever listed.
/// Throws IoError, NotFoundError.
void remove_checkpoint(const RunFolder& run, int64_t step);
/// Removes all but the newest `keep` checkpoints, and those of the steps in `spare` (the one that
/// was resumed, the best one). keep <= 0: keeps all. Throws IoError.
void prune_checkpoints(const RunFolder& run, int64_t keep, std::span<const int64_t> spare = {});

}  // namespace nanochat
