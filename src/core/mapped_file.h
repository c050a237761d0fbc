/// Files as memory, read-only.
#pragma once

#include <filesystem>

#include "core/storage.h"

namespace nanochat {

/// The bytes of a regular file, read from the disk as they are touched and shared with every other
/// process that maps it. It lives as long as the last StoragePtr (or Tensor) that refers to it, and
/// survives deleting or atomically replacing the file; writing into it kills the process, and so
/// does reading behind the end of a file that someone truncates in place, which ours never do.
/// An empty file gives an empty storage.
/// Throws NotFoundError, or IoError (a folder or a device, no permission).
[[nodiscard]] StoragePtr map_file(const std::filesystem::path& path);

}  // namespace nanochat
