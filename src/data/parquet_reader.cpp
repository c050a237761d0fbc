#include <cerrno>

#include <sys/stat.h>

#include "core/error.h"
#include "core/file.h"
#include "data/document_reader.h"
#include "data/parquet_module.h"

namespace nanochat {
namespace {

/// Before Arrow, whose errors do not tell a missing file from an unreadable one.
void check_file(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) throw_errno("read", path, errno);
  if (!S_ISREG(status.st_mode)) {
    throw_errno("read", path, S_ISDIR(status.st_mode) ? EISDIR : ESPIPE);
  }
  if (status.st_size == 0) throw DataError("{}: an empty file is no parquet", path.string());
}

}  // namespace

std::unique_ptr<DocumentReader> open_parquet(const std::filesystem::path& path,
                                             const DocumentSourceOptions& options) {
  check_file(path);
  return std::unique_ptr<DocumentReader>(parquet_module().open(path.c_str(), options));
}

std::unique_ptr<DocumentReader> open_parquet_rows(const std::filesystem::path& path,
                                                  int64_t batch_rows) {
  check_file(path);
  return std::unique_ptr<DocumentReader>(parquet_module().open_rows(path.c_str(), batch_rows));
}

}  // namespace nanochat
