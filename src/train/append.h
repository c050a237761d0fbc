/// Adding to the end of a file.
#pragma once

#include <filesystem>
#include <string_view>

namespace nanochat {

/// All bytes by one write() to a descriptor opened with O_APPEND, unless the disk takes fewer: then
/// what was added is taken back, and IoError thrown. `path` is for the message.
void append_at_once(int fd, std::string_view bytes, const std::filesystem::path& path);

}  // namespace nanochat
