/// A file that is being fetched, in a state from which any later process can go on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>

namespace nanochat {

/// What the bytes so far are a part of. Two answers with the same validator have the same bytes.
struct PartialSource {
  std::string url;
  std::string validator;  ///< a strong ETag, or a date; empty: the bytes cannot be added to later
  int64_t total_bytes = -1;
  std::string sha256;  ///< as the server says; empty: it does not
  bool operator==(const PartialSource&) const = default;
};

/// <path>.part, and beside it <path>.part.info, which holds the PartialSource. While this lives, no
/// other process has either: the .part is locked (flock). Destroyed uncommitted, both stay.
/// Not thread-safe.
class PartialFile {
 public:
  /// Waits while another process has it; on_wait is called before each wait of 100 ms, and false
  /// gives up. None when `is_done` says, asked with the lock held, that there is nothing to do any
  /// more, or when on_wait gave up. Throws NotFoundError or IoError.
  [[nodiscard]] static std::optional<PartialFile> open(const std::filesystem::path& path,
                                                       const std::function<bool()>& is_done,
                                                       const std::function<bool()>& on_wait);
  ~PartialFile();
  PartialFile(PartialFile&& other) noexcept;
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;
  PartialFile& operator=(PartialFile&&) = delete;

  [[nodiscard]] int64_t size_bytes() const noexcept { return size_bytes_; }
  [[nodiscard]] const PartialSource& source() const noexcept { return source_; }
  /// From the beginning, of this source. Throws IoError, as all below.
  void restart(const PartialSource& source);
  void append(std::span<const std::byte> bytes);
  /// Calls with the bytes from the beginning, piece by piece.
  void for_each_piece(const std::function<void(std::span<const std::byte>)>& f) const;
  /// The `n` bytes at `offset`, which must be there.
  [[nodiscard]] std::string bytes_at(int64_t offset, int64_t n) const;
  /// Flushes it to the disk and renames it to `path`.
  void commit();
  /// Removes both files.
  void discard();

 private:
  PartialFile(std::filesystem::path path, int fd);
  [[nodiscard]] std::filesystem::path part_path() const;
  [[nodiscard]] std::filesystem::path info_path() const;
  void read_info();
  void close() noexcept;

  std::filesystem::path path_;
  int fd_ = -1;
  int64_t size_bytes_ = 0;
  PartialSource source_;
};

}  // namespace nanochat
