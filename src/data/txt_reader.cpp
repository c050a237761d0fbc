#include <algorithm>
#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/mapped_file.h"
#include "data/byte_stream.h"
#include "data/document_reader.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

/// The next document of `text` before its separator, or to its end; takes both off `text`.
std::string_view take_document(std::string_view& text, std::string_view separator) {
  const size_t end = separator.empty() ? std::string_view::npos : text.find(separator);
  const std::string_view document = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + separator.size());
  return document;
}

/// Views straight into the mapped file.
class MappedTxtReader final : public DocumentReader {
 public:
  MappedTxtReader(const fs::path& path, const DocumentSourceOptions& options)
      : options_(options), file_(std::make_shared<const StoragePtr>(map_file(path))) {
    rest_ = {static_cast<const char*>((*file_)->data()),
             static_cast<size_t>((*file_)->size_bytes())};
  }

  bool next(DocumentBatch& batch) override {
    batch.documents.clear();
    batch.memory = file_;
    int64_t bytes = 0;
    while (!rest_.empty() && bytes < kBatchBytes &&
           std::ssize(batch.documents) < options_.batch_documents) {
      const std::string_view document = take_document(rest_, options_.txt_separator);
      if (document.empty()) continue;
      batch.documents.push_back(document);
      bytes += std::ssize(document);
    }
    return !batch.documents.empty();
  }

  int64_t skip(int64_t n) override {
    int64_t skipped = 0;
    while (skipped < n && !rest_.empty()) {
      if (!take_document(rest_, options_.txt_separator).empty()) ++skipped;
    }
    return skipped;
  }

 private:
  const DocumentSourceOptions& options_;
  std::shared_ptr<const StoragePtr> file_;
  std::string_view rest_;
};

/// For what cannot be mapped: compressed files and pipes.
class StreamedTxtReader final : public DocumentReader {
 public:
  StreamedTxtReader(const fs::path& path, const DocumentSourceOptions& options)
      : options_(options), stream_(open_byte_stream(path)) {}

  bool next(DocumentBatch& batch) override {
    batch.documents.clear();
    for (;;) {
      take_documents(batch);
      batch.memory = text_;
      if (!batch.documents.empty()) return true;
      if (failure_) std::rethrow_exception(failure_);
      if (at_end_ && rest_.empty()) return false;
      // What is left begins the next piece; it may be all of one, of a long document.
      read_piece(std::max<size_t>(kBatchBytes, 2 * rest_.size()));
    }
  }

 private:
  /// The documents that are whole in the piece.
  void take_documents(DocumentBatch& batch) {
    const std::string_view separator = options_.txt_separator;
    while (!rest_.empty() && std::ssize(batch.documents) < options_.batch_documents) {
      const bool whole =
          at_end_ || (!separator.empty() && rest_.find(separator) != std::string_view::npos);
      if (!whole) break;
      const std::string_view document = take_document(rest_, separator);
      if (!document.empty()) batch.documents.push_back(document);
    }
  }
  void read_piece(size_t wanted_bytes) {
    const auto piece = std::make_shared<std::string>(rest_);
    size_t size = piece->size();
    piece->resize(wanted_bytes);
    try {
      while (!at_end_ && size < wanted_bytes) {
        const size_t n = stream_->read({piece->data() + size, wanted_bytes - size});
        at_end_ = n == 0;
        size += n;
      }
    } catch (const Error&) {
      failure_ = std::current_exception();  // first, the documents before it
    }
    piece->resize(size);
    text_ = piece;
    rest_ = *piece;
  }

  const DocumentSourceOptions& options_;
  std::unique_ptr<ByteStream> stream_;
  std::shared_ptr<const std::string> text_;  // a piece of the file, shared with the batches
  std::string_view rest_;                    // of it, not given out yet
  bool at_end_ = false;
  std::exception_ptr failure_;
};

}  // namespace

std::unique_ptr<DocumentReader> open_txt(const fs::path& path,
                                         const DocumentSourceOptions& options) {
  if (path.extension() == ".txt" && fs::is_regular_file(path)) {
    return std::make_unique<MappedTxtReader>(path, options);
  }
  return std::make_unique<StreamedTxtReader>(path, options);
}

}  // namespace nanochat
