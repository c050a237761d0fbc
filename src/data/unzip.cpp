#include "data/unzip.h"

#include <array>
#include <memory>
#include <string>
#include <system_error>
#include <type_traits>

#include <minizip/unzip.h>
#include <unistd.h>

#include "core/error.h"
#include "core/file.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

struct CloseZip {
  void operator()(unzFile file) const noexcept { unzClose(file); }
};
using Zip = std::unique_ptr<std::remove_pointer_t<unzFile>, CloseZip>;

/// Removes what it was given, unless it has been moved away.
struct TemporaryFolder {
  fs::path path;
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

/// The name of the entry that is open now.
std::string entry_name(unzFile zip, const fs::path& path) {
  unz_file_info64 info{};
  std::array<char, 4096> name{};
  if (unzGetCurrentFileInfo64(zip, &info, name.data(), name.size() - 1, nullptr, 0, nullptr, 0) !=
      UNZ_OK) {
    throw DataError("{}: damaged: download it again", path.string());
  }
  return name.data();
}

void unpack_entry(unzFile zip, const fs::path& path, const std::string& name,
                  const fs::path& target) {
  const auto damaged = [&] {
    return DataError("{}: '{}' in it is damaged: download it again", path.string(), name);
  };
  unz_file_info64 info{};
  if (unzGetCurrentFileInfo64(zip, &info, nullptr, 0, nullptr, 0, nullptr, 0) != UNZ_OK ||
      unzOpenCurrentFile(zip) != UNZ_OK) {
    throw damaged();
  }
  AtomicFile out(target);
  std::array<char, 1 << 16> buffer{};
  int n = 0;
  while ((n = unzReadCurrentFile(zip, buffer.data(), static_cast<unsigned>(buffer.size()))) > 0) {
    out.write(std::string_view(buffer.data(), static_cast<size_t>(n)));
  }
  // Closing compares the checksum, but only of an entry that did not end early.
  if (n < 0 || unzCloseCurrentFile(zip) != UNZ_OK ||
      out.size_bytes() != static_cast<int64_t>(info.uncompressed_size)) {
    throw damaged();
  }
  out.commit();
}

}  // namespace

void unzip(const fs::path& zip_path, const fs::path& folder) {
  if (!fs::exists(zip_path)) throw NotFoundError("{}: no such file", zip_path.string());
  const Zip zip(unzOpen64(zip_path.c_str()));
  if (!zip) throw DataError("{}: it is no zip file: download it again", zip_path.string());
  const TemporaryFolder temporary{
      folder.parent_path() / fmt::format(".{}.{}.tmp", folder.filename().string(), ::getpid())};
  const fs::path top = folder.filename();
  const auto names = [&](auto&& visit) {
    for (int at = unzGoToFirstFile(zip.get()); at != UNZ_END_OF_LIST_OF_FILE;
         at = unzGoToNextFile(zip.get())) {
      if (at != UNZ_OK) throw DataError("{}: damaged: download it again", zip_path.string());
      visit(fs::path(entry_name(zip.get(), zip_path)).lexically_normal());
    }
  };
  bool has_top = false;
  names([&](const fs::path& name) { has_top |= *name.begin() == top; });
  std::error_code error;
  fs::create_directories(temporary.path, error);
  if (error) throw_errno("make a folder", temporary.path, error.value());
  names([&](const fs::path& name) {
    if (!name.has_filename()) return;  // a folder
    if (has_top && *name.begin() != top) return;
    const fs::path relative = has_top ? name.lexically_relative(top) : name;
    if (relative.is_absolute() || *relative.begin() == "..") {
      throw DataError("{}: '{}' in it points out of the folder: not unpacked", zip_path.string(),
                      name.string());
    }
    const fs::path target = temporary.path / relative;
    fs::create_directories(target.parent_path(), error);
    if (error) throw_errno("make a folder", target.parent_path(), error.value());
    unpack_entry(zip.get(), zip_path, name.string(), target);
  });
  fs::rename(temporary.path, folder, error);
  if (error) throw_errno("rename", temporary.path, error.value());
  sync_folder(folder.parent_path());
}

}  // namespace nanochat
