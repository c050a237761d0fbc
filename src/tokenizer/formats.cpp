#include "tokenizer/formats.h"

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "core/file.h"

namespace nanochat {
namespace fs = std::filesystem;

namespace {

struct FormatNames {
  TokenizerFormat format;
  std::string_view name;
  std::string_view file_name;  // in a folder
};
constexpr FormatNames kFormats[] = {
    {TokenizerFormat::kOurs, "nanochat", kTokenizerFileName},
    {TokenizerFormat::kHuggingFace, "huggingface", "tokenizer.json"},
    {TokenizerFormat::kPickle, "pickle", "tokenizer.pkl"},
    {TokenizerFormat::kTiktoken, "tiktoken", "tokenizer.tiktoken"},
};

const FormatNames& names_of(TokenizerFormat format) {
  const auto* const found = std::ranges::find(kFormats, format, &FormatNames::format);
  NC_CHECK(found != std::end(kFormats));
  return *found;
}

/// The file in a folder that holds its tokenizer.
fs::path find_in_folder(const fs::path& folder) {
  for (const FormatNames& known : kFormats) {
    if (fs::exists(folder / known.file_name)) return folder / known.file_name;
  }
  std::vector<fs::path> ranks;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".tiktoken") ranks.push_back(entry.path());
  }
  if (error) throw_errno("list the folder", folder, error.value());
  if (ranks.size() > 1) {
    throw DataError("{}: {} files end in .tiktoken: name one of them", folder.string(),
                    ranks.size());
  }
  if (ranks.empty()) {
    throw NotFoundError(
        "{}: no tokenizer in this folder: looked for {}, tokenizer.json, tokenizer.pkl, *.tiktoken",
        folder.string(), kTokenizerFileName);
  }
  return ranks[0];
}

/// By what a file begins with; our file and Hugging Face's are both JSON, so there its beginning,
/// where we write our format's name, or else its own name decides.
TokenizerFormat detect(std::string_view bytes, const fs::path& path) {
  if (bytes.starts_with('\x80')) return TokenizerFormat::kPickle;
  const size_t first = bytes.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || bytes[first] != '{') return TokenizerFormat::kTiktoken;
  const bool named = path.filename().string().ends_with(".nanochat.json");
  return named || bytes.substr(0, 256).find("\"nanochat-tokenizer\"") != std::string_view::npos
             ? TokenizerFormat::kOurs
             : TokenizerFormat::kHuggingFace;
}

}  // namespace

std::string_view name_of(TokenizerFormat format) noexcept { return names_of(format).name; }

std::optional<TokenizerFormat> tokenizer_format_from_name(std::string_view name) {
  const auto* const found = std::ranges::find(kFormats, name, &FormatNames::name);
  if (found == std::end(kFormats)) return {};
  return found->format;
}

Vocabulary load_vocabulary(const fs::path& path, const TiktokenSettings& settings) {
  constexpr int64_t kMaxFileBytes = int64_t{1} << 30;
  const fs::path file = fs::is_directory(path) ? find_in_folder(path) : path;
  const std::string bytes = read_file(file, kMaxFileBytes);
  const std::string where = file.string();
  if (bytes.empty()) throw DataError("{}: the file is empty", where);
  switch (detect(bytes, file)) {
    case TokenizerFormat::kOurs:
      return parse_ours(bytes, where);
    case TokenizerFormat::kHuggingFace:
      return parse_huggingface(bytes, where);
    case TokenizerFormat::kPickle:
      return parse_pickle(bytes, where);
    case TokenizerFormat::kTiktoken:
      break;
  }
  return parse_tiktoken(bytes, where, settings);
}

void save_vocabulary(const Vocabulary& vocabulary, const fs::path& path, TokenizerFormat format) {
  const fs::path file = fs::is_directory(path) ? path / names_of(format).file_name : path;
  switch (format) {
    case TokenizerFormat::kOurs:
      return write_file_atomically(file, format_ours(vocabulary));
    case TokenizerFormat::kHuggingFace:
      return write_file_atomically(file, format_huggingface(vocabulary));
    case TokenizerFormat::kTiktoken:
      return write_file_atomically(file, format_tiktoken(vocabulary));
    case TokenizerFormat::kPickle:
      break;
  }
  throw UsageError("tokenizer.pkl is only read: write nanochat, huggingface or tiktoken");
}

}  // namespace nanochat
