/// XXH3 (64 bits, seed 0): checksums that find damage, not malice. `xxhsum -H3` prints the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace nanochat {

/// Of bytes that come piece by piece; how they are cut does not matter.
class Xxh3 {
 public:
  Xxh3();
  ~Xxh3();
  Xxh3(const Xxh3&) = delete;
  Xxh3& operator=(const Xxh3&) = delete;

  void update(std::span<const std::byte> bytes) noexcept;
  void update(std::string_view text) noexcept { update(std::as_bytes(std::span(text))); }
  /// Of everything so far; more may follow.
  [[nodiscard]] uint64_t digest() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

[[nodiscard]] uint64_t xxh3_of(std::span<const std::byte> bytes) noexcept;
[[nodiscard]] inline uint64_t xxh3_of(std::string_view text) noexcept {
  return xxh3_of(std::as_bytes(std::span(text)));
}

/// Sixteen hexadecimal digits, lower case: the one spelling that from_hex takes back.
[[nodiscard]] std::string to_hex(uint64_t x);
[[nodiscard]] std::optional<uint64_t> from_hex(std::string_view text);

/// What tells one file's contents from another's.
struct FileDigest {
  int64_t size_bytes = 0;
  uint64_t xxh3 = 0;
  friend bool operator==(const FileDigest&, const FileDigest&) = default;
};

/// Reads a whole regular file, a small buffer at a time, the disk busy meanwhile.
/// Throws NotFoundError or IoError.
[[nodiscard]] FileDigest digest_of_file(const std::filesystem::path& path);

}  // namespace nanochat
