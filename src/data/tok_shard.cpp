#include "data/tok_shard.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "core/error.h"
#include "core/mapped_file.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "nanochat";
constexpr uint32_t kVersion = 1;

/// In front of the ids.
struct Head {
  std::array<char, 8> magic;
  uint32_t version;
  uint32_t id_bytes;
};
static_assert(sizeof(Head) == 16);

/// Behind everything else: when it is written, everything is known.
struct Trailer {
  uint64_t vocab_size, tokenizer, source, n_tokens, n_documents, n_groups, cut_token;
  uint64_t index_xxh3;  // of the documents' ends and the groups
  uint64_t xxh3;        // of Head and all of the trailer before this
  std::array<char, 8> magic;
};
static_assert(sizeof(Trailer) == 80);
constexpr size_t kHashedTrailerBytes = offsetof(Trailer, xxh3);

uint64_t hash_of(const Head& head, const Trailer& trailer) {
  Xxh3 hash;
  hash.update(std::as_bytes(std::span(&head, 1)));
  hash.update(std::as_bytes(std::span(&trailer, 1)).first(kHashedTrailerBytes));
  return hash.digest();
}

bool has_magic(const std::array<char, 8>& magic) {
  return std::string_view(magic.data(), magic.size()) == kMagic;
}
std::array<char, 8> magic() {
  std::array<char, 8> bytes{};
  std::ranges::copy(kMagic, bytes.begin());
  return bytes;
}

size_t padded(size_t n) { return (n + 7) / 8 * 8; }

template <typename T>
T load(std::span<const std::byte> bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

/// The `n` values at `offset`, which the caller has found to be inside.
template <typename T>
std::span<const T> view(std::span<const std::byte> bytes, size_t offset, size_t n) {
  return {reinterpret_cast<const T*>(bytes.data() + offset), n};
}

}  // namespace

void TokShard::refuse(std::string_view what) const {
  throw DataError("{}: {}: tokenise the text again (nanochat data tokenize)", where_, what);
}

TokShard::TokShard(const fs::path& path) {
  StoragePtr file = map_file(path);
  const std::span bytes(static_cast<const std::byte*>(file->data()),
                        static_cast<size_t>(file->size_bytes()));
  *this = parse(bytes, path.string());
  file_ = std::move(file);
}

TokShard TokShard::parse(std::span<const std::byte> bytes, std::string_view where, bool checksums) {
  TokShard shard;
  shard.where_ = where;
  shard.checksums_ = checksums;
  if (bytes.size() < sizeof(Head) + sizeof(Trailer)) shard.refuse("too short for a .tok file");
  const auto head = load<Head>(bytes, 0);
  const auto trailer = load<Trailer>(bytes, bytes.size() - sizeof(Trailer));
  if (!has_magic(head.magic)) shard.refuse("not a .tok file");
  if (head.version != kVersion) {
    shard.refuse(fmt::format("it has version {} of the format, this program knows {}", head.version,
                             kVersion));
  }
  if (!has_magic(trailer.magic)) shard.refuse("cut off, or damaged at its end");
  if (checksums && trailer.xxh3 != hash_of(head, trailer)) {
    shard.refuse("damaged, the checksum of its header differs");
  }

  // Every count is held against the size before it is multiplied.
  const uint64_t size = bytes.size();
  const bool plausible = trailer.vocab_size > 0 && trailer.vocab_size <= uint64_t{1} << 31 &&
                         trailer.n_tokens <= size && trailer.n_documents <= size &&
                         trailer.n_groups <= size && trailer.cut_token <= trailer.n_tokens;
  if (!plausible) shard.refuse("its header makes no sense");
  shard.header_ = {.vocab_size = static_cast<int64_t>(trailer.vocab_size),
                   .tokenizer = trailer.tokenizer,
                   .source = trailer.source,
                   .n_tokens = static_cast<int64_t>(trailer.n_tokens),
                   .n_documents = static_cast<int64_t>(trailer.n_documents),
                   .n_groups = static_cast<int64_t>(trailer.n_groups),
                   .cut_token = static_cast<int64_t>(trailer.cut_token)};
  const auto id_bytes = static_cast<uint64_t>(shard.header_.id_bytes());
  if (head.id_bytes != id_bytes) shard.refuse("its header makes no sense");
  const uint64_t ids_size = trailer.n_tokens * id_bytes;
  const uint64_t documents = sizeof(Head) + padded(ids_size);
  const uint64_t groups = documents + trailer.n_documents * sizeof(uint64_t);
  const uint64_t expected = groups + trailer.n_groups * sizeof(Group) + sizeof(Trailer);
  if (expected != size) {
    shard.refuse(fmt::format("it has {} bytes where its header promises {}", size, expected));
  }
  shard.ids_ = bytes.subspan(sizeof(Head), ids_size);
  shard.document_ends_ = view<uint64_t>(bytes, documents, trailer.n_documents);
  shard.groups_ = view<Group>(bytes, groups, trailer.n_groups);
  const auto padding = bytes.subspan(sizeof(Head) + ids_size, documents - sizeof(Head) - ids_size);
  const bool is_zero = std::ranges::all_of(padding, [](std::byte b) { return b == std::byte{0}; });
  const auto index = bytes.subspan(documents, expected - sizeof(Trailer) - documents);
  if (!is_zero || (checksums && xxh3_of(index) != trailer.index_xxh3)) {
    shard.refuse("damaged, the checksum of its index differs");
  }
  shard.check_index();
  return shard;
}

void TokShard::check_index() const {
  const bool sorted = std::ranges::is_sorted(document_ends_);
  const uint64_t tokens = document_ends_.empty() ? 0 : document_ends_.back();
  const bool groups_sorted = std::ranges::is_sorted(groups_, {}, &Group::end);
  const uint64_t documents = groups_.empty() ? 0 : groups_.back().end;
  if (!sorted || !groups_sorted || tokens != static_cast<uint64_t>(header_.n_tokens) ||
      documents != static_cast<uint64_t>(header_.n_documents)) {
    refuse("its index makes no sense");
  }
}

void TokShard::check_group(int64_t group) const {
  const auto begin = static_cast<size_t>(first_token(first_document(group)));
  const auto end = static_cast<size_t>(first_token(first_document(group + 1)));
  const auto id_bytes = static_cast<size_t>(header_.id_bytes());
  const auto ids = ids_.subspan(begin * id_bytes, (end - begin) * id_bytes);
  if (checksums_ && xxh3_of(ids) != groups_[static_cast<size_t>(group)].xxh3) {
    refuse(fmt::format("damaged, the checksum of row group {} differs", group));
  }
  uint32_t largest = 0;
  if (id_bytes == 2) {
    for (const uint16_t id : view<uint16_t>(ids, 0, end - begin)) {
      largest = std::max<uint32_t>(largest, id);
    }
  } else {
    for (const uint32_t id : view<uint32_t>(ids, 0, end - begin)) largest = std::max(largest, id);
  }
  if (largest >= static_cast<uint64_t>(header_.vocab_size)) {
    refuse(fmt::format("row group {} has the id {}, of a vocabulary of {}", group, largest,
                       header_.vocab_size));
  }
}

void TokShard::append_ids(int64_t begin, int64_t end, std::vector<int32_t>& ids) const {
  const auto n = static_cast<size_t>(end - begin);
  const auto first = static_cast<size_t>(begin);
  const size_t old_size = ids.size();
  ids.resize(old_size + n);
  const auto out = ids.begin() + static_cast<int64_t>(old_size);
  if (header_.id_bytes() == 2) {
    std::ranges::copy(view<uint16_t>(ids_, first * 2, n), out);
  } else {
    std::ranges::copy(view<int32_t>(ids_, first * 4, n), out);
  }
}

// ---- writing

TokShardWriter::TokShardWriter(const fs::path& path, const TokShardHeader& header)
    : header_{.vocab_size = header.vocab_size,
              .tokenizer = header.tokenizer,
              .source = header.source},
      file_(path),
      hash_(std::in_place) {
  const Head head{
      .magic = magic(), .version = kVersion, .id_bytes = static_cast<uint32_t>(header_.id_bytes())};
  file_.write(std::as_bytes(std::span(&head, 1)));
}

void TokShardWriter::append(std::span<const int32_t> ids) {
  std::span<const std::byte> bytes = std::as_bytes(ids);
  if (header_.id_bytes() == 2) {
    narrow_.assign(ids.begin(), ids.end());
    bytes = std::as_bytes(std::span(narrow_));
  }
  hash_->update(bytes);
  file_.write(bytes);
  header_.n_tokens += std::ssize(ids);
}

void TokShardWriter::end_document() {
  document_ends_.push_back(static_cast<uint64_t>(header_.n_tokens));
  ++header_.n_documents;
}

void TokShardWriter::end_group() {
  groups_.push_back({.end = static_cast<uint64_t>(header_.n_documents), .xxh3 = hash_->digest()});
  ++header_.n_groups;
  hash_.emplace();
}

void TokShardWriter::commit(int64_t cut_token) {
  const uint64_t grouped = groups_.empty() ? 0 : groups_.back().end;
  if (grouped < static_cast<uint64_t>(header_.n_documents)) end_group();
  header_.cut_token = cut_token;
  const auto ids_size = static_cast<size_t>(header_.n_tokens * header_.id_bytes());
  file_.write(std::string(padded(ids_size) - ids_size, '\0'));
  const auto documents = std::as_bytes(std::span(document_ends_));
  const auto groups = std::as_bytes(std::span(groups_));
  file_.write(documents);
  file_.write(groups);
  Xxh3 index;
  index.update(documents);
  index.update(groups);

  const Head head{
      .magic = magic(), .version = kVersion, .id_bytes = static_cast<uint32_t>(header_.id_bytes())};
  Trailer trailer{.vocab_size = static_cast<uint64_t>(header_.vocab_size),
                  .tokenizer = header_.tokenizer,
                  .source = header_.source,
                  .n_tokens = static_cast<uint64_t>(header_.n_tokens),
                  .n_documents = static_cast<uint64_t>(header_.n_documents),
                  .n_groups = static_cast<uint64_t>(header_.n_groups),
                  .cut_token = static_cast<uint64_t>(header_.cut_token),
                  .index_xxh3 = index.digest(),
                  .xxh3 = 0,
                  .magic = magic()};
  trailer.xxh3 = hash_of(head, trailer);
  file_.write(std::as_bytes(std::span(&trailer, 1)));
  file_.commit();
}

}  // namespace nanochat
