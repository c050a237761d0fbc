#include "data/partial_file.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"
#include "core/file.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

constexpr auto kWait = std::chrono::milliseconds(100);
constexpr int64_t kMaxInfoBytes = 64 << 10;
constexpr size_t kPieceBytes = 1 << 20;

fs::path with_ending(fs::path path, const char* ending) { return path += ending; }

/// Is `fd` the file that `path` names? Not when another process has renamed or removed it since.
bool is_still(int fd, const fs::path& path) {
  struct stat opened {
  }, named{};
  return ::fstat(fd, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

}  // namespace

PartialFile::PartialFile(fs::path path, int fd) : path_(std::move(path)), fd_(fd) {
  struct stat status {};
  if (::fstat(fd_, &status) != 0) throw_errno("read", part_path(), errno);
  size_bytes_ = status.st_size;
  read_info();
}

PartialFile::PartialFile(PartialFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      size_bytes_(other.size_bytes_),
      source_(std::move(other.source_)) {}

PartialFile::~PartialFile() { close(); }

void PartialFile::close() noexcept {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));  // and with it the lock
}

fs::path PartialFile::part_path() const { return with_ending(path_, ".part"); }
fs::path PartialFile::info_path() const { return with_ending(path_, ".part.info"); }

std::optional<PartialFile> PartialFile::open(const fs::path& path,
                                             const std::function<bool()>& is_done,
                                             const std::function<bool()>& on_wait) {
  const fs::path part = with_ending(path, ".part");
  for (;;) {
    const int fd = ::open(part.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) throw_errno("write", part, errno);
    while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      const int error = errno;
      if (error == EINTR) continue;
      if (error != EWOULDBLOCK) {
        ::close(fd);
        throw_errno("lock", part, error);
      }
      if (!on_wait()) {
        ::close(fd);
        return std::nullopt;
      }
      std::this_thread::sleep_for(kWait);
    }
    if (!is_still(fd, part)) {
      ::close(fd);
      continue;
    }
    PartialFile file(path, fd);
    if (!is_done()) return file;
    file.discard();
    return std::nullopt;
  }
}

void PartialFile::read_info() {
  source_ = {};
  try {
    const auto info = nlohmann::json::parse(read_file(info_path(), kMaxInfoBytes));
    PartialSource source{.url = info.at("url"),
                         .validator = info.at("validator"),
                         .total_bytes = info.at("total_bytes"),
                         .sha256 = info.at("sha256")};
    source_ = std::move(source);
  } catch (const Error&) {
  } catch (const nlohmann::json::exception&) {
    // Missing or damaged: then nothing is known of the bytes, and they are fetched again.
  }
}

void PartialFile::restart(const PartialSource& source) {
  if (::ftruncate(fd_, 0) != 0) throw_errno("write", part_path(), errno);
  size_bytes_ = 0;
  const nlohmann::ordered_json info{{"url", source.url},
                                    {"validator", source.validator},
                                    {"total_bytes", source.total_bytes},
                                    {"sha256", source.sha256}};
  constexpr auto kReplace = nlohmann::json::error_handler_t::replace;
  write_file_atomically(info_path(), info.dump(-1, ' ', false, kReplace) + "\n");
  source_ = source;
}

void PartialFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), size_bytes_);
    if (n < 0) {
      if (errno == EINTR) continue;
      throw_errno("write", part_path(), errno);
    }
    size_bytes_ += n;
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

void PartialFile::for_each_piece(const std::function<void(std::span<const std::byte>)>& f) const {
  std::vector<std::byte> piece(kPieceBytes);
  for (int64_t at = 0; at < size_bytes_;) {
    const ssize_t n = ::pread(fd_, piece.data(), piece.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw_errno("read", part_path(), n < 0 ? errno : EIO);
    f(std::span(piece).first(static_cast<size_t>(n)));
    at += n;
  }
}

std::string PartialFile::bytes_at(int64_t offset, int64_t n) const {
  NC_CHECK(offset >= 0 && offset + n <= size_bytes_, "{} bytes at {} of {}", n, offset,
           size_bytes_);
  std::string bytes(static_cast<size_t>(n), '\0');
  if (::pread(fd_, bytes.data(), bytes.size(), offset) != n) {
    throw_errno("read", part_path(), errno != 0 ? errno : EIO);
  }
  return bytes;
}

void PartialFile::commit() {
  if (::fsync(fd_) != 0) throw_errno("flush", part_path(), errno);
  if (::rename(part_path().c_str(), path_.c_str()) != 0) throw_errno("replace", path_, errno);
  ::unlink(info_path().c_str());
  sync_folder(path_.has_parent_path() ? path_.parent_path() : fs::path("."));
  close();
}

void PartialFile::discard() {
  ::unlink(info_path().c_str());
  ::unlink(part_path().c_str());
  close();
}

}  // namespace nanochat
