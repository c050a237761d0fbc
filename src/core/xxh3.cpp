#include "core/xxh3.h"

#include <cerrno>
#include <charconv>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#define XXH_INLINE_ALL  // one header, nothing to link; and inlining is faster on short input
#include <xxhash.h>

#include "core/file.h"

namespace nanochat {
namespace {

constexpr size_t kReadBytes = 1 << 20;  // stays in L2 between the kernel's copy and the hash
constexpr off_t kAheadBytes = off_t{64} << 20;  // asked of the disk before it is needed

class OpenFile {
 public:
  explicit OpenFile(const std::filesystem::path& path)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (fd_ < 0) throw_errno("read", path, errno);
  }
  ~OpenFile() { ::close(fd_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

}  // namespace

struct Xxh3::State {
  XXH3_state_t state;
};

Xxh3::Xxh3() : state_(std::make_unique<State>()) { XXH3_64bits_reset(&state_->state); }
Xxh3::~Xxh3() = default;

void Xxh3::update(std::span<const std::byte> bytes) noexcept {
  if (!bytes.empty()) XXH3_64bits_update(&state_->state, bytes.data(), bytes.size());
}
uint64_t Xxh3::digest() const noexcept { return XXH3_64bits_digest(&state_->state); }

uint64_t xxh3_of(std::span<const std::byte> bytes) noexcept {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::string to_hex(uint64_t x) { return fmt::format("{:016x}", x); }

std::optional<uint64_t> from_hex(std::string_view text) {
  uint64_t x = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), x, 16);
  // Going back and forth refuses upper case and short forms.
  if (error != std::errc() || end != text.data() + text.size() || to_hex(x) != text) return {};
  return x;
}

FileDigest digest_of_file(const std::filesystem::path& path) {
  const OpenFile file(path);
  std::vector<std::byte> buffer(kReadBytes);
  Xxh3 hash;
  FileDigest digest;
  off_t asked = 0;
  for (;;) {
    // The kernel reads ahead 128 KiB by itself, which leaves a fast disk idle half of the time.
    if (digest.size_bytes + kAheadBytes / 2 >= asked) {
      static_cast<void>(::posix_fadvise(file.get(), asked, kAheadBytes, POSIX_FADV_WILLNEED));
      asked += kAheadBytes;
    }
    const ssize_t n = ::read(file.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("read", path, errno);
    if (n == 0) break;
    hash.update({buffer.data(), static_cast<size_t>(n)});
    digest.size_bytes += n;
  }
  digest.xxh3 = hash.digest();
  return digest;
}

}  // namespace nanochat
