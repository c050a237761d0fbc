#include "core/file.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

// Large enough that the system call is free beside the copying, small enough to stay in L2.
constexpr size_t kBufferBytes = 256 << 10;

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

std::string_view advice_for(int error) {
  switch (error) {
    case EACCES:
    case EPERM:
      return ": check the permissions of the file and its folder";
    case ENOSPC:
    case EDQUOT:
      return ": free some space or choose another disk with --base-dir";
    case EFBIG:
      return ": raise the limit on file sizes (ulimit -f)";
    case EROFS:
      return ": choose another folder with --base-dir";
    case EMFILE:
    case ENFILE:
      return ": raise the limit on open files (ulimit -n)";
    case ENOENT:
    case ENOTDIR:
      return ": check the spelling, or create the folder";
    default:
      return "";
  }
}

/// Where a symbolic link leads, even if nothing is there yet. (std::filesystem follows only links
/// that lead to something.)
fs::path follow_links(fs::path path) {
  constexpr int kMaxLinks = 40;  // as Linux: more is a circle
  std::error_code error;
  for (int i = 0; fs::is_symlink(path, error); ++i) {
    if (i == kMaxLinks) throw_errno("write", path, ELOOP);
    const fs::path target = fs::read_symlink(path, error);
    if (error) throw_errno("read the link", path, error.value());
    path = path.parent_path() / target;  // which is the target alone when it is absolute
  }
  return path;
}

/// A rename is durable only when the folder that holds the names is.
void sync_folder_of(const fs::path& path) {
  sync_folder(path.has_parent_path() ? path.parent_path() : fs::path("."));
}

}  // namespace

void sync_folder(const fs::path& folder) {
  const FileDescriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) throw_errno("open", folder, errno);
  // EINVAL: a file system that has nothing to flush for folders.
  if (::fsync(fd.get()) != 0 && errno != EINVAL) throw_errno("flush", folder, errno);
}

void throw_errno(std::string_view doing, const fs::path& path, int error) {
  const std::string reason = std::generic_category().message(error);
  const std::string_view advice = advice_for(error);
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      throw NotFoundError("{}: cannot {}: {}{}", path.string(), doing, reason, advice);
    case ENOMEM:
      throw OutOfMemoryError("{}: cannot {}: {}", path.string(), doing, reason);
    default:
      throw IoError("{}: cannot {}: {}{}", path.string(), doing, reason, advice);
  }
}

AtomicFile::AtomicFile(const fs::path& path) : path_(follow_links(path)) {
  static std::atomic<int64_t> counter{0};
  struct stat old {};
  const bool exists = ::stat(path_.c_str(), &old) == 0;
  if (exists && S_ISDIR(old.st_mode)) throw_errno("write", path_, EISDIR);
  if (exists && !S_ISREG(old.st_mode)) {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd_ < 0) throw_errno("write", path_, errno);
    return;
  }
  // O_EXCL and the next number: another machine may use the same folder and the same process id.
  do {
    temporary_ = path_;
    temporary_.replace_filename(
        fmt::format(".{}.{}-{}.tmp", path_.filename().string(), ::getpid(), counter++));
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (fd_ < 0 && errno == EEXIST);
  if (fd_ < 0) throw_errno("write", path_, errno);
  if (exists) static_cast<void>(::fchmod(fd_, old.st_mode & 07777));  // else the umask decides
}

AtomicFile::~AtomicFile() { close_and_remove(); }

void AtomicFile::close_and_remove() noexcept {
  if (fd_ < 0) return;
  ::close(fd_);
  fd_ = -1;
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  NC_CHECK(fd_ >= 0 && !failed_, "{}: written after its commit or its failure", path_.string());
  size_bytes_ += static_cast<int64_t>(bytes.size());
  if (buffer_.size() + bytes.size() > kBufferBytes) flush_buffer();
  if (bytes.size() > kBufferBytes) return write_out(bytes);
  buffer_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void AtomicFile::flush_buffer() {
  write_out(std::as_bytes(std::span(buffer_)));
  buffer_.clear();
}

void AtomicFile::write_out(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      failed_ = true;
      throw_errno("write", path_, errno);
    }
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
}

void AtomicFile::commit() {
  NC_CHECK(fd_ >= 0 && !failed_, "{}: committed twice or after its failure", path_.string());
  flush_buffer();
  const auto fail = [this](std::string_view doing) {
    const int error = errno;
    close_and_remove();
    throw_errno(doing, path_, error);
  };
  // EINVAL, EROFS: pipes and devices have nothing to flush.
  if (::fsync(fd_) != 0 && !temporary_.empty()) fail("flush");
  // A network file system may report a full disk as late as here; the descriptor is gone either
  // way.
  if (::close(std::exchange(fd_, -1)) != 0) {
    const int error = errno;
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
    throw_errno("close", path_, error);
  }
  if (temporary_.empty()) return;
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary_.c_str());
    throw_errno("replace", path_, error);
  }
  sync_folder_of(path_);
}

void write_file_atomically(const fs::path& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file_atomically(const fs::path& path, std::string_view text) {
  write_file_atomically(path, std::as_bytes(std::span(text)));
}

std::string read_file(const fs::path& path, int64_t max_bytes) {
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) throw_errno("read", path, errno);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) throw_errno("read", path, errno);
  const auto too_large = [&] {
    return DataError("{}: larger than the {} bytes expected at most: is it the right file?",
                     path.string(), max_bytes);
  };
  if (S_ISREG(status.st_mode) && status.st_size > max_bytes) throw too_large();

  // st_size is a hint: it is 0 for pipes and /proc, and a file may grow while we read.
  std::string text;
  int64_t size = 0;
  for (;;) {
    constexpr int64_t kStep = 64 << 10;
    text.resize(static_cast<size_t>(std::max(size + kStep, status.st_size + 1)));
    const ssize_t n = ::read(fd.get(), text.data() + size, text.size() - static_cast<size_t>(size));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("read", path, errno);
    if (n == 0) break;
    size += n;
    if (size > max_bytes) throw too_large();
  }
  text.resize(static_cast<size_t>(size));
  return text;
}

}  // namespace nanochat
