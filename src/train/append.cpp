#include "train/append.h"

#include <cerrno>

#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"

namespace nanochat {

void append_at_once(int fd, std::string_view bytes, const std::filesystem::path& path) {
  struct stat before {};
  if (::fstat(fd, &before) != 0) throw_errno("write", path, errno);
  ssize_t n;
  do {
    n = ::write(fd, bytes.data(), bytes.size());
  } while (n < 0 && errno == EINTR);
  if (n == static_cast<ssize_t>(bytes.size())) return;
  const int error = n < 0 ? errno : ENOSPC;
  static_cast<void>(::ftruncate(fd, before.st_size));
  throw_errno("write", path, error);
}

}  // namespace nanochat
