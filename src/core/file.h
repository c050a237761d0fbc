/// Files that are never half written, and reading small ones whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace nanochat {

/// Writes a file under a temporary name beside it; commit() flushes it to the disk and renames it,
/// so that at every moment, whatever happens to the process or the machine, the path holds either
/// the old contents or the new. Two writers of one path do not disturb each other: the last commit
/// wins.
///
/// Not committed: the temporary is removed and the path is as it was. (A killed process leaves
/// ".<name>.<pid>-<n>.tmp" behind; it may be deleted.) A path that exists keeps its permission
/// bits; a symbolic link is followed; into what is not a regular file (/dev/null, a pipe) the bytes
/// go straight.
///
/// Every failure throws: NotFoundError when the folder does not exist, else IoError (disk full, no
/// permission), naming the path. After that the file cannot be committed any more.
/// Not thread-safe.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Once, at the end.
  void commit();

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Written so far.
  [[nodiscard]] int64_t size_bytes() const noexcept { return size_bytes_; }

 private:
  void write_out(std::span<const std::byte> bytes);
  void flush_buffer();
  void close_and_remove() noexcept;

  std::filesystem::path path_;
  std::filesystem::path temporary_;  // empty: writing straight to path_
  int fd_ = -1;
  bool failed_ = false;
  int64_t size_bytes_ = 0;
  std::string buffer_;
};

void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

/// The whole file. Throws NotFoundError, IoError (a folder, no permission), or DataError when it is
/// larger than max_bytes: the caller knows what size makes sense.
[[nodiscard]] std::string read_file(const std::filesystem::path& path, int64_t max_bytes);

/// Flushes a folder's list of names: what was made, renamed or removed in it stays so when the
/// machine stops. Throws NotFoundError or IoError.
void sync_folder(const std::filesystem::path& folder);

/// Turns a failed system call into the error that says what, where and what to do: NotFoundError
/// for ENOENT and ENOTDIR, OutOfMemoryError for ENOMEM, else IoError. `doing` completes "cannot
/// ...".
[[noreturn]] void throw_errno(std::string_view doing, const std::filesystem::path& path, int error);

}  // namespace nanochat
