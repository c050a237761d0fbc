/// Tokenizers by name: <base>/tokenizer/<name>/, or a path.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "cli/commands.h"
#include "tokenizer/tokenizer.h"

namespace nanochat::cli {

/// Beside our own file: a JSON array of the bytes that each id stands for, for bits per byte.
inline constexpr std::string_view kTokenBytesFileName = "token_bytes.json";

/// What `name` means for reading: with a slash in it, a path; else a name in the base folder if
/// there is one; else a path. Throws NotFoundError, which says where was looked and what there is.
[[nodiscard]] std::filesystem::path find_tokenizer(const CommonOptions& common,
                                                   const std::string& name);
/// Loads a file or folder of any format.
[[nodiscard]] Tokenizer load_tokenizer(const CommonOptions& common, const std::string& name);

/// The folder that `name` means for writing: with a slash in it, a path; else a name in the base
/// folder. Throws, before hours of work are spent on it, when nothing could be written there.
[[nodiscard]] std::filesystem::path tokenizer_folder_to_write(const CommonOptions& common,
                                                              const std::string& name);
/// Writes our file and token_bytes into the folder, which is made when it is missing. The
/// tokenizer, which all else can be computed from, comes last and is written whole or not at all.
void save_tokenizer(const Tokenizer& tokenizer, const std::filesystem::path& folder);

/// "nanochat" and "gpt4" as the patterns they stand for; anything else is one itself.
[[nodiscard]] std::string pattern_from_name(std::string_view name);

}  // namespace nanochat::cli
