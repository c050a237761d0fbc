#include "core/mapped_file.h"

#include <cerrno>
#include <memory>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"
#include "core/file.h"

namespace nanochat {

StoragePtr map_file(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a named pipe must not wait for its writer.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) throw_errno("read", path, errno);
  struct stat status {};
  const int stat_error = ::fstat(fd, &status) == 0 ? 0 : errno;
  const bool regular = stat_error == 0 && S_ISREG(status.st_mode);
  void* data = nullptr;
  int map_error = 0;
  if (regular && status.st_size > 0) {
    data = ::mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) map_error = errno;
  }
  ::close(fd);  // the mapping keeps the file open

  if (stat_error != 0) throw_errno("read", path, stat_error);
  if (S_ISDIR(status.st_mode)) throw_errno("read", path, EISDIR);
  if (!regular) {
    throw IoError("{}: not a regular file: copy its contents into one first", path.string());
  }
  if (map_error != 0) throw_errno("map", path, map_error);
  if (status.st_size == 0) return wrap_memory(nullptr, 0);
  const auto size = static_cast<size_t>(status.st_size);
  return wrap_memory(data, status.st_size, [mapping = std::shared_ptr<void>(data, [size](void* p) {
                                              ::munmap(p, size);
                                            })] { static_cast<void>(mapping); });
}

}  // namespace nanochat
