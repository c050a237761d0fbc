#include "data/tokenize.h"

#include <algorithm>
#include <future>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "core/error.h"
#include "data/document_reader.h"
#include "data/grouped_documents.h"
#include "data/loader_state.h"
#include "data/split.h"
#include "tokenizer/formats.h"
#include "tokenizer/safe_cut.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPieceBytes = 1 << 20;  // of a long document, so that all cores have a part of it
constexpr size_t kLotBytes = 32 << 20;   // whose tokens are held at once

uint64_t source_of(const fs::path& text, const DocumentSourceOptions& options) {
  return fingerprint_of({{.file = text}}, options).xxh3;
}

/// One file's text on its way into its .tok file.
class FileTokenizer {
 public:
  FileTokenizer(const fs::path& text, const fs::path& tok, const Tokenizer& tokenizer,
                const DocumentSourceOptions& options)
      : tokenizer_(tokenizer),
        options_(options),
        reader_(open_documents(text, options_)),
        group_sizes_(reader_->group_sizes()),
        writer_(tok, {.vocab_size = tokenizer.vocab_size(),
                      .tokenizer = checksum_of(tokenizer.vocabulary()),
                      .source = source_of(text, options)}) {}

  TokShardHeader run(const std::function<void(int64_t)>& progress) {
    end_empty_groups();
    DocumentBatch batch, ahead;
    const auto read_ahead = [&] {
      return std::async(std::launch::async, [&] { return reader_->next(ahead); });
    };
    auto pending = read_ahead();  // the destructor waits for it
    while (pending.get()) {
      std::swap(batch, ahead);
      pending = read_ahead();
      add(batch.documents);
      progress(bytes_);
    }
    writer_.commit(writer_.header().n_documents == 1 ? cut_token_ : 0);
    return writer_.header();
  }

 private:
  /// In lots of pieces: many short documents, or parts of a long one.
  void add(std::span<const std::string_view> documents) {
    if (writer_.header().n_documents == 0 && documents.size() == 1) find_cut(documents.front());
    size_t lot_bytes = 0;
    for (std::string_view rest : documents) {
      bytes_ += std::ssize(rest);
      for (bool more = true; more;) {
        const std::string_view piece = take_piece(rest);
        more = !rest.empty();
        pieces_.push_back(piece);
        ends_document_.push_back(!more);
        lot_bytes += piece.size();
        if (lot_bytes >= kLotBytes) {
          write_lot();
          lot_bytes = 0;
        }
      }
    }
    write_lot();
    cut_ = nullptr;
  }

  std::string_view take_piece(std::string_view& rest) const {
    size_t end = rest.size();
    if (end > 2 * kPieceBytes) {
      end = std::min(end, find_safe_cut(tokenizer_.vocabulary().pattern, rest, kPieceBytes));
    }
    if (cut_ != nullptr && rest.data() < cut_ && cut_ <= rest.data() + end) {
      end = static_cast<size_t>(cut_ - rest.data());
    }
    const std::string_view piece = rest.substr(0, end);
    rest.remove_prefix(end);
    return piece;
  }

  void write_lot() {
    const auto encoded = tokenizer_.encode_batch(pieces_);
    for (size_t i = 0; i < pieces_.size(); ++i) {
      writer_.append(encoded[i]);
      if (pieces_[i].data() + pieces_[i].size() == cut_) cut_token_ = writer_.header().n_tokens;
      if (ends_document_[i]) end_document();
    }
    pieces_.clear();
    ends_document_.clear();
  }

  void end_document() {
    writer_.end_document();
    const int64_t size = group_sizes_.empty() ? kGroupDocuments : group_sizes_[group_];
    if (++in_group_ < size) return;
    writer_.end_group();
    in_group_ = 0;
    ++group_;
    end_empty_groups();
  }
  void end_empty_groups() {
    while (group_ < group_sizes_.size() && group_sizes_[group_] == 0) {
      writer_.end_group();
      ++group_;
    }
  }

  /// Should this be the only document: finds out how many tokens stand before the place where
  /// split.h cuts it.
  void find_cut(std::string_view document) {
    const auto cut = static_cast<size_t>(held_out_cut(document));
    if (cut == 0) return;
    if (find_safe_cut(tokenizer_.vocabulary().pattern, document.substr(0, cut + 2), cut) == cut) {
      cut_ = document.data() + cut;  // counted on the way
      return;
    }
    std::vector<int32_t> ids = tokenizer_.encode(document.substr(0, cut));
    const auto n = std::ssize(ids);
    tokenizer_.encode_to(document.substr(cut), ids);
    if (ids == tokenizer_.encode(document)) cut_token_ = n;
  }

  const Tokenizer& tokenizer_;
  const DocumentSourceOptions options_;
  std::unique_ptr<DocumentReader> reader_;
  std::vector<int64_t> group_sizes_;
  TokShardWriter writer_;
  size_t group_ = 0;
  int64_t in_group_ = 0;  // documents of it
  int64_t bytes_ = 0;
  const char* cut_ = nullptr;  // in the batch's text: a piece ends here
  int64_t cut_token_ = 0;
  std::vector<std::string_view> pieces_;
  std::vector<bool> ends_document_;
};

/// True when names alone tell files apart and keep their order.
bool names_suffice(std::span<const fs::path> files) {
  const auto tok_name = [](const fs::path& file) { return file.filename().string() + ".tok"; };
  return std::ranges::adjacent_find(files, std::greater_equal{}, tok_name) == files.end();
}

}  // namespace

std::vector<fs::path> tok_file_names(std::span<const fs::path> files) {
  const bool numbered = !names_suffice(files);
  std::vector<fs::path> names;
  for (const fs::path& file : files) {
    const std::string name = file.filename().string() + ".tok";
    names.emplace_back(numbered ? fmt::format("{:05}-{}", names.size(), name) : name);
  }
  return names;
}

std::optional<TokShardHeader> find_tokenized(const fs::path& text, const fs::path& tok,
                                             const Tokenizer& tokenizer,
                                             const DocumentSourceOptions& options) {
  try {
    const TokShard shard(tok);
    const TokShardHeader& header = shard.header();
    if (header.tokenizer != checksum_of(tokenizer.vocabulary())) return {};
    if (header.source != source_of(text, options)) return {};
    for (int64_t group = 0; group < header.n_groups; ++group) shard.check_group(group);
    return header;
  } catch (const DataError&) {
    return {};  // damaged, or of another version
  } catch (const NotFoundError&) {
    return {};
  }
}

TokShardHeader tokenize_file(const fs::path& text, const fs::path& tok, const Tokenizer& tokenizer,
                             const DocumentSourceOptions& options,
                             const std::function<void(int64_t)>& progress) {
  return FileTokenizer(text, tok, tokenizer, options).run(progress);
}

}  // namespace nanochat
