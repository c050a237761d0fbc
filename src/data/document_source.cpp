#include "data/document_source.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <glob.h>

#include "core/error.h"
#include "core/file.h"
#include "data/document_reader.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEndings = ".parquet, .jsonl or .txt (the last two also .gz or .zst)";
constexpr std::string_view kTokEnding = ".tok";

enum class FileKind : uint8_t { kTxt, kJsonl, kParquet, kUnknown };

FileKind kind_of(const fs::path& path) {
  fs::path ending = path.extension();
  if (ending == ".parquet") return FileKind::kParquet;
  if (ending == ".gz" || ending == ".zst") ending = path.stem().extension();
  if (ending == ".jsonl") return FileKind::kJsonl;
  if (ending == ".txt") return FileKind::kTxt;
  return FileKind::kUnknown;
}

void check_kind(const fs::path& path) {
  if (kind_of(path) == FileKind::kUnknown) {
    throw UsageError("{}: cannot tell from its name what it holds: documents are in {}",
                     path.string(), kEndings);
  }
}

bool is_known(const fs::path& path, bool with_tok) {
  return kind_of(path) != FileKind::kUnknown || (with_tok && is_tok_file(path));
}

/// Files of known endings, sorted by name; those of its folders are not looked at.
std::vector<fs::path> files_in_folder(const fs::path& folder, bool with_tok) {
  std::vector<fs::path> files;
  std::error_code error;
  for (auto entry = fs::directory_iterator(folder, error); !error && entry != end(entry);
       entry.increment(error)) {
    const fs::path& path = entry->path();
    const bool hidden = path.filename().native().starts_with('.');
    if (!hidden && is_known(path, with_tok) && !fs::is_directory(path)) {
      files.push_back(path);
    }
  }
  if (error) throw_errno("read", folder, error.value());
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<fs::path> files_of_glob(const std::string& pattern, bool with_tok) {
  glob_t matches{};
  const int result = ::glob(pattern.c_str(), 0, nullptr, &matches);
  std::vector<fs::path> files;
  for (size_t i = 0; result == 0 && i < matches.gl_pathc; ++i) {
    const fs::path path = matches.gl_pathv[i];
    if (fs::is_directory(path)) {
      std::ranges::move(files_in_folder(path, with_tok), std::back_inserter(files));
    } else if (is_known(path, with_tok)) {
      files.push_back(path);
    }
  }
  ::globfree(&matches);
  if (result == GLOB_NOSPACE) throw OutOfMemoryError("{}: no memory for what it matches", pattern);
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<fs::path> find_files(std::span<const std::string> paths, bool with_tok) {
  std::vector<fs::path> files;
  for (const std::string& path : paths) {
    std::vector<fs::path> found;
    std::error_code error;
    const auto status = fs::status(path, error);
    if (fs::is_directory(status)) {
      found = files_in_folder(path, with_tok);
      if (found.empty()) {
        throw NotFoundError("{}: no documents in this folder: they are in {}", path, kEndings);
      }
    } else if (fs::exists(status)) {
      if (!is_known(path, with_tok)) check_kind(path);
      found.emplace_back(path);
    } else if (path.find_first_of("*?[") != std::string::npos) {
      found = files_of_glob(path, with_tok);
      if (found.empty()) throw NotFoundError("{}: nothing matches it: {}", path, kEndings);
    } else {
      throw_errno("read", path, error ? error.value() : ENOENT);
    }
    std::ranges::move(found, std::back_inserter(files));
  }
  return files;
}

}  // namespace

std::unique_ptr<DocumentReader> open_documents(const fs::path& path,
                                               const DocumentSourceOptions& options) {
  switch (kind_of(path)) {
    case FileKind::kTxt:
      return open_txt(path, options);
    case FileKind::kJsonl:
      return open_jsonl(path, options);
    case FileKind::kParquet:
      return open_parquet(path, options);
    case FileKind::kUnknown:
      break;
  }
  check_kind(path);
  return nullptr;
}

bool is_tok_file(const fs::path& path) { return path.extension() == kTokEnding; }

std::vector<fs::path> find_document_files(std::span<const std::string> paths) {
  return find_files(paths, /*with_tok=*/false);
}

std::vector<fs::path> find_training_files(std::span<const std::string> paths) {
  std::vector<fs::path> files = find_files(paths, /*with_tok=*/true);
  const auto tok = std::ranges::find_if(files, is_tok_file);
  const auto text = std::ranges::find_if_not(files, is_tok_file);
  if (tok != files.end() && text != files.end()) {
    throw UsageError("{} holds tokens and {} text: name files of one kind, for example '*{}'",
                     tok->string(), text->string(), kTokEnding);
  }
  return files;
}

struct DocumentSource::Impl {
  std::vector<fs::path> files;
  DocumentSourceOptions options;
  size_t next_file = 0;
  std::unique_ptr<DocumentReader> reader;  // of files[next_file - 1]; null: open the next
  std::vector<std::string> skipped;

  bool next(DocumentBatch& batch) {
    for (;;) {
      if (!reader) {
        if (next_file == files.size()) return false;
        reader = open_documents(files[next_file++], options);
      }
      batch.file = static_cast<int64_t>(next_file) - 1;
      if (reader->next(batch)) return true;
      reader.reset();
    }
  }
};

DocumentSource::DocumentSource(std::span<const std::string> paths,
                               const DocumentSourceOptions& options)
    : DocumentSource(find_document_files(paths), options) {}

DocumentSource::DocumentSource(std::vector<fs::path> files, const DocumentSourceOptions& options)
    : impl_(std::make_unique<Impl>()) {
  NC_CHECK(options.batch_documents > 0, "{} documents a batch", options.batch_documents);
  for (const fs::path& file : files) check_kind(file);
  impl_->files = std::move(files);
  impl_->options = options;
}

DocumentSource::~DocumentSource() = default;
DocumentSource::DocumentSource(DocumentSource&&) noexcept = default;
DocumentSource& DocumentSource::operator=(DocumentSource&&) noexcept = default;

std::span<const fs::path> DocumentSource::files() const noexcept { return impl_->files; }
std::span<const std::string> DocumentSource::skipped() const noexcept { return impl_->skipped; }

bool DocumentSource::next(DocumentBatch& batch) {
  for (;;) {
    try {
      return impl_->next(batch);
    } catch (const Error& e) {
      const bool is_files_fault = e.exit_code() == ExitCode::kBadData ||
                                  e.exit_code() == ExitCode::kNotFound ||
                                  e.exit_code() == ExitCode::kIo;
      impl_->reader.reset();
      batch = {};
      if (!is_files_fault || !impl_->options.skip_bad_shards) throw;
      impl_->skipped.emplace_back(e.what());
    }
  }
}

}  // namespace nanochat
