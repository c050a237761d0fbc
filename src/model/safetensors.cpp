#include "model/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "core/mapped_file.h"
#include "core/parallel.h"

namespace nanochat {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr int64_t kLengthBytes = 8;               // of the field that holds the header's length
constexpr int64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's limit
constexpr int64_t kAlignment = 64;                // one cache line, one 512-bit vector
constexpr size_t kWriteBytes = 1 << 20;           // fits the L2
constexpr std::string_view kMetadataKey = "__metadata__";
constexpr std::string_view kSealKey = "nanochat.xxh3";       // of the metadata itself
constexpr std::string_view kChecksumKey = "nanochat.xxh3:";  // followed by a tensor's name
constexpr std::string_view kZero("", 1);                     // ends a text that is hashed

constexpr std::array<std::pair<std::string_view, DType>, 7> kDTypes{{{"F64", DType::kF64},
                                                                     {"F32", DType::kF32},
                                                                     {"BF16", DType::kBf16},
                                                                     {"F16", DType::kF16},
                                                                     {"I64", DType::kI64},
                                                                     {"I32", DType::kI32},
                                                                     {"U8", DType::kU8}}};

std::string_view format_name(DType dtype) {
  const auto* const found =
      std::ranges::find(kDTypes, dtype, &decltype(kDTypes)::value_type::second);
  NC_CHECK(found != kDTypes.end(), "no name for {}", name_of(dtype));
  return found->first;
}

/// Text from a file, fit for an error message: one line, no terminal escapes, not too long.
std::string printable(std::string_view text) {
  constexpr size_t kMaxLength = 100;
  std::string s(text.substr(0, kMaxLength));
  const auto is_control = [](char c) { return static_cast<uint8_t>(c) < ' ' || c == 127; };
  std::ranges::replace_if(s, is_control, '?');
  return text.size() > kMaxLength ? s + "..." : s;
}

[[noreturn]] void refuse(std::string_view file, std::string_view what) {
  throw DataError("{}: {}: download it or write it again", file, what);
}
[[noreturn]] void refuse(std::string_view file, std::string_view tensor, std::string_view what) {
  refuse(file, fmt::format("tensor '{}': {}", printable(tensor), what));
}

// ---- checksums

/// XXH3 (64 bits) of a tensor's name, dtype, shape and bytes, so that a damaged header shows too.
uint64_t checksum_of(const SafetensorsEntry& entry, const void* data) noexcept {
  Xxh3 hash;
  const auto add_text = [&hash](std::string_view text) {
    hash.update(text);
    hash.update(kZero);  // keeps neighbours apart
  };
  add_text(entry.name);
  add_text(format_name(entry.dtype));
  hash.update(std::as_bytes(entry.shape.dims()));
  hash.update({static_cast<const std::byte*>(data), static_cast<size_t>(entry.size_bytes)});
  return hash.digest();
}

/// XXH3 of all metadata but the seal itself; it covers the tensors' checksums.
uint64_t seal_of(const SafetensorsMetadata& metadata) {
  Xxh3 hash;
  for (const auto& [key, value] : metadata) {
    if (key == kSealKey) continue;
    for (const std::string_view text : {std::string_view(key), std::string_view(value)}) {
      hash.update(text);
      hash.update(kZero);
    }
  }
  return hash.digest();
}

/// Moves our checksums from the metadata to the entries. A file has all of them or none.
void take_checksums(SafetensorsHeader& header, std::string_view file) {
  const auto seal = header.metadata.find(kSealKey);
  const bool sealed = seal != header.metadata.end();
  if (sealed && seal->second != to_hex(seal_of(header.metadata))) {
    refuse(file, "its metadata does not match its checksum");
  }
  size_t n_found = 0;
  auto next = header.metadata.lower_bound(kChecksumKey);
  while (next != header.metadata.end() && next->first.starts_with(kChecksumKey)) {
    const std::string_view name = std::string_view(next->first).substr(kChecksumKey.size());
    const auto entry = header.by_name.find(name);
    if (entry == header.by_name.end()) refuse(file, name, "has a checksum but no data");
    header.entries[entry->second].checksum = from_hex(next->second);
    if (!header.entries[entry->second].checksum) refuse(file, name, "its checksum is unreadable");
    ++n_found;
    next = header.metadata.erase(next);
  }
  if (sealed) header.metadata.erase(seal);
  if (n_found == (sealed ? header.entries.size() : 0)) return;
  for (const SafetensorsEntry& entry : header.entries) {
    if (!entry.checksum) refuse(file, entry.name, "has no checksum, though the file has others");
  }
  refuse(file, "its metadata has lost its own checksum");
}

// ---- the header

/// Builds the header from the JSON parser's events, so that duplicate keys and surprises are seen
/// where they stand, and nothing is nested deeper than the format allows. Throws DataError.
class HeaderBuilder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderBuilder(std::string_view file, int64_t data_begin, int64_t data_size)
      : file_(file), data_begin_(data_begin), data_size_(data_size) {}

  SafetensorsHeader finish() {
    std::ranges::sort(header_.entries, {}, [](const SafetensorsEntry& e) {
      return std::pair(e.begin_bytes, e.size_bytes);  // the empty ones first
    });
    int64_t covered = data_begin_;
    for (size_t i = 0; i < header_.entries.size(); ++i) {
      const SafetensorsEntry& entry = header_.entries[i];
      if (entry.begin_bytes != covered) {
        refuse(file_, entry.name,
               fmt::format("its data begin at byte {}, but the tensor before it ends at byte {}",
                           entry.begin_bytes, covered));
      }
      covered += entry.size_bytes;
      header_.by_name[entry.name] = i;
    }
    if (covered != data_begin_ + data_size_) {
      refuse(file_, fmt::format("ends at byte {}, but its tensors end at byte {}",
                                data_begin_ + data_size_, covered));
    }
    take_checksums(header_, file_);
    return std::move(header_);
  }

  bool null() override { unexpected("null"); }
  bool boolean(bool /*value*/) override { unexpected("a boolean"); }
  bool number_integer(int64_t value) override { unexpected(fmt::format("{}", value)); }
  bool number_float(double /*value*/, const std::string& text) override { unexpected(text); }
  bool binary(binary_t& /*value*/) override { unexpected("binary data"); }

  bool number_unsigned(uint64_t value) override {
    if ((place_ != Place::kShape && place_ != Place::kOffsets) ||
        value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      unexpected(fmt::format("{}", value));
    }
    if (place_ == Place::kShape && n_dims_ == dims_.size()) {
      refuse_entry(fmt::format("has more than {} extents", Shape::kMaxRank));
    }
    if (place_ == Place::kOffsets && n_offsets_ == offsets_.size()) {
      refuse_entry("has more than two data_offsets");
    }
    (place_ == Place::kShape ? dims_[n_dims_++] : offsets_[n_offsets_++]) =
        static_cast<int64_t>(value);
    return true;
  }

  bool string(std::string& value) override {
    if (place_ == Place::kMetadata) {
      header_.metadata.at(key_) = std::move(value);
    } else if (place_ == Place::kEntry && key_ == "dtype") {
      const auto* const found =
          std::ranges::find(kDTypes, value, &decltype(kDTypes)::value_type::first);
      if (found == kDTypes.end()) {
        refuse_entry(fmt::format("its dtype is '{}', not one of F64 F32 BF16 F16 I64 I32 U8",
                                 printable(value)));
      }
      entry_.dtype = found->second;
    } else {
      unexpected("a text");
    }
    return true;
  }

  bool start_object(size_t /*n*/) override {
    if (place_ == Place::kOutside) {
      place_ = Place::kTop;
    } else if (place_ == Place::kTop && key_ == kMetadataKey) {
      if (std::exchange(has_metadata_, true)) refuse(file_, "its header has __metadata__ twice");
      place_ = Place::kMetadata;
    } else if (place_ == Place::kTop) {
      place_ = Place::kEntry;
      entry_ = SafetensorsEntry();
      entry_.name = key_;
      has_dtype_ = has_shape_ = has_offsets_ = false;
      n_dims_ = n_offsets_ = 0;
      if (!header_.by_name.emplace(key_, 0).second) refuse_entry("appears twice in the header");
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool key(std::string& value) override {
    key_ = std::move(value);
    if (place_ == Place::kMetadata) {
      if (!header_.metadata.emplace(key_, "").second) {
        refuse(file_, fmt::format("its metadata has '{}' twice", printable(key_)));
      }
    } else if (place_ == Place::kEntry) {
      bool* const seen = key_ == "dtype"          ? &has_dtype_
                         : key_ == "shape"        ? &has_shape_
                         : key_ == "data_offsets" ? &has_offsets_
                                                  : nullptr;
      if (!seen) refuse_entry(fmt::format("has an unknown field '{}'", printable(key_)));
      if (std::exchange(*seen, true)) refuse_entry(fmt::format("has the field '{}' twice", key_));
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kEntry) add_entry();
    place_ = place_ == Place::kTop ? Place::kOutside : Place::kTop;
    return true;
  }

  bool start_array(size_t /*n*/) override {
    if (place_ != Place::kEntry || key_ == "dtype") unexpected("an array");
    place_ = key_ == "shape" ? Place::kShape : Place::kOffsets;
    return true;
  }
  bool end_array() override {
    place_ = Place::kEntry;
    return true;
  }

  bool parse_error(size_t position, const std::string& /*token*/,
                   const nlohmann::json::exception& /*error*/) override {
    // The parser counts from 1 in the header.
    refuse(file_, fmt::format("its header is not JSON at byte {}",
                              kLengthBytes + static_cast<int64_t>(position) - 1));
  }

 private:
  enum class Place { kOutside, kTop, kMetadata, kEntry, kShape, kOffsets };

  [[noreturn]] void refuse_entry(std::string_view what) const { refuse(file_, entry_.name, what); }

  [[noreturn]] void unexpected(std::string_view value) const {
    switch (place_) {
      case Place::kOutside:
        refuse(file_, fmt::format("its header is {}, not an object", value));
      case Place::kTop:
        refuse(file_, key_, fmt::format("its description is {}, not an object", value));
      case Place::kMetadata:
        refuse(file_, fmt::format("its metadata '{}' is {}, not a text", printable(key_), value));
      default:
        refuse_entry(fmt::format("its {} holds {}", key_, value));
    }
  }

  void add_entry() {
    if (!has_dtype_ || !has_shape_ || !has_offsets_ || n_offsets_ != 2) {
      refuse_entry("needs a dtype, a shape and two data_offsets");
    }
    const auto [begin, end] = offsets_;
    if (begin > end || end > data_size_) {
      refuse_entry(fmt::format("its data are bytes {} to {} of {}", begin, end, data_size_));
    }
    // In the order in which Shape::numel multiplies, so that it will not overflow either.
    int64_t numel = 1;
    bool overflow = false;
    const std::span<const int64_t> dims(dims_.data(), n_dims_);
    for (const int64_t d : dims) overflow |= __builtin_mul_overflow(numel, d, &numel);
    int64_t size_bytes = 0;
    overflow |= __builtin_mul_overflow(numel, size_of(entry_.dtype), &size_bytes);
    if (overflow || size_bytes != end - begin) {
      refuse_entry(fmt::format("has {} bytes, which is not {} of shape [{}]", end - begin,
                               format_name(entry_.dtype), fmt::join(dims, ", ")));
    }
    entry_.shape = Shape(dims);
    entry_.begin_bytes = data_begin_ + begin;
    entry_.size_bytes = size_bytes;
    header_.entries.push_back(std::move(entry_));
  }

  const std::string_view file_;
  const int64_t data_begin_, data_size_;  // bytes
  SafetensorsHeader header_;
  Place place_ = Place::kOutside;
  std::string key_;  // the last one read, at whatever level
  bool has_metadata_ = false;
  SafetensorsEntry entry_;  // the one being read
  bool has_dtype_ = false, has_shape_ = false, has_offsets_ = false;
  std::array<int64_t, Shape::kMaxRank> dims_{};
  size_t n_dims_ = 0;
  std::array<int64_t, 2> offsets_{};
  size_t n_offsets_ = 0;
};

// ---- non-finite numbers

/// The index of the first element of n whose exponent bits are all ones; -1 if there is none. The
/// data may lie at any address.
template <typename Bits>
int64_t first_with_all_ones(const std::byte* data, int64_t n, Bits exponent) noexcept {
  constexpr int64_t kBlock = 4096;  // without an exit inside, the loop over a block vectorises
  const auto lowest = static_cast<Bits>(exponent & (~exponent + 1));
  const auto sign = static_cast<Bits>(exponent + lowest);
  const auto carry = [=](int64_t i) {  // into the sign bit, from all ones only
    Bits bits;
    std::memcpy(&bits, data + i * static_cast<int64_t>(sizeof(Bits)), sizeof(Bits));
    return static_cast<Bits>((bits & exponent) + lowest);
  };
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = std::min(n, begin + kBlock);
    Bits any = 0;
    for (int64_t i = begin; i < end; ++i) any = static_cast<Bits>(any | carry(i));
    if (!(any & sign)) continue;
    for (int64_t i = begin; i < end; ++i) {
      if (carry(i) & sign) return i;
    }
  }
  return -1;
}

int64_t first_non_finite(DType dtype, const void* data, int64_t n) noexcept {
  const auto* const bytes = static_cast<const std::byte*>(data);
  switch (dtype) {
    case DType::kF64:
      return first_with_all_ones<uint64_t>(bytes, n, 0x7ff0000000000000U);
    case DType::kF32:
      return first_with_all_ones<uint32_t>(bytes, n, 0x7f800000U);
    case DType::kBf16:
      return first_with_all_ones<uint16_t>(bytes, n, 0x7f80U);
    case DType::kF16:
      return first_with_all_ones<uint16_t>(bytes, n, 0x7c00U);
    case DType::kI64:
    case DType::kI32:
    case DType::kU8:
      break;
  }
  return -1;
}

// ---- writing

/// In JSON's quotes. Throws DataError when the text is not UTF-8.
std::string quoted(std::string_view file, std::string_view text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    throw DataError("{}: cannot write '{}': it is not UTF-8: use another text", file,
                    printable(text));
  }
}

/// The header and the length in front of it, padded so that the data begin at a multiple of 64.
std::string header_text(std::string_view file, std::span<const SafetensorsEntry> entries,
                        SafetensorsMetadata metadata) {
  for (const auto& entry : entries) {
    metadata.emplace(fmt::format("{}{}", kChecksumKey, entry.name), to_hex(*entry.checksum));
  }
  metadata.emplace(kSealKey, to_hex(seal_of(metadata)));

  std::string json = fmt::format("{{\"{}\":{{", kMetadataKey);
  for (const char* separator = ""; const auto& [key, value] : metadata) {
    json += fmt::format("{}{}:{}", std::exchange(separator, ","), quoted(file, key),
                        quoted(file, value));
  }
  json += "}";
  for (const auto& entry : entries) {
    json += fmt::format(",{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                        quoted(file, entry.name), format_name(entry.dtype),
                        fmt::join(entry.shape.dims(), ","), entry.begin_bytes,
                        entry.begin_bytes + entry.size_bytes);
  }
  json += "}";
  while ((kLengthBytes + static_cast<int64_t>(json.size())) % kAlignment != 0) json += ' ';
  if (static_cast<int64_t>(json.size()) > kMaxHeaderBytes) {
    throw DataError(
        "{}: its header would take {} bytes, and the format allows {}: write less "
        "metadata",
        file, json.size(), kMaxHeaderBytes);
  }
  const auto length = std::bit_cast<std::array<char, kLengthBytes>>(uint64_t{json.size()});
  return std::string(length.data(), length.size()) + json;
}

/// The tensors in the order in which they will lie in the file: those whose size is divisible by
/// the larger power of two (up to 64) first, otherwise as given. Then every tensor begins at a
/// multiple of its own divisor, without gaps: the large matrices at multiples of 64 bytes.
std::vector<const NamedTensor*> order_for_alignment(std::span<const NamedTensor> tensors) {
  std::vector<const NamedTensor*> order;
  order.reserve(tensors.size());
  for (const NamedTensor& t : tensors) order.push_back(&t);
  std::ranges::stable_sort(order, std::greater(), [](const NamedTensor* t) {
    const int64_t size = t->tensor.size_bytes();
    return std::min(kAlignment, size == 0 ? kAlignment : size & -size);
  });
  return order;
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, std::string_view name) {
  const auto file_bytes = static_cast<int64_t>(file.size());
  if (file_bytes < kLengthBytes) {
    refuse(name, fmt::format("ends at byte {}, within the length of its header", file_bytes));
  }
  uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof(length));
  if (length > static_cast<uint64_t>(kMaxHeaderBytes)) {
    refuse(name, fmt::format("its header claims {} bytes, and the format allows {}", length,
                             kMaxHeaderBytes));
  }
  const auto data_begin = kLengthBytes + static_cast<int64_t>(length);
  if (data_begin > file_bytes) {
    refuse(name, fmt::format("ends at byte {}, within its header of {} bytes", file_bytes, length));
  }
  const auto* const json = reinterpret_cast<const char*>(file.data()) + kLengthBytes;
  // The JSON library would forgive white space and a byte order mark here; the format does not.
  if (length == 0 || json[0] != '{') refuse(name, "its header does not begin with '{'");
  if (const void* const zero = std::memchr(json, 0, length)) {  // the library would stop there
    refuse(name, fmt::format("its header is not JSON at byte {}",
                             static_cast<const char*>(zero) - json + kLengthBytes));
  }
  HeaderBuilder builder(name, data_begin, file_bytes - data_begin);
  const bool complete = nlohmann::json::sax_parse(json, json + length, &builder);
  NC_CHECK(complete);  // the builder throws on every error
  return builder.finish();
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path, SafetensorsChecks checks)
    : SafetensorsFile(map_file(path), path.string(), checks) {}

SafetensorsFile::SafetensorsFile(StoragePtr bytes, std::string name, SafetensorsChecks checks)
    : name_(std::move(name)),
      bytes_(std::move(bytes)),
      header_(parse_safetensors_header({static_cast<const std::byte*>(bytes_->data()),
                                        static_cast<size_t>(bytes_->size_bytes())},
                                       name_)) {
  if (checks.checksums) verify();
  if (checks.finite) check_finite();
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  names.reserve(header_.entries.size());
  for (const auto& entry : header_.entries) names.push_back(entry.name);
  return names;
}

bool SafetensorsFile::contains(std::string_view tensor_name) const {
  return header_.by_name.find(tensor_name) != header_.by_name.end();
}

const SafetensorsEntry& SafetensorsFile::info(std::string_view tensor_name) const {
  const auto found = header_.by_name.find(tensor_name);
  if (found == header_.by_name.end()) {
    throw DataError("{}: has no tensor '{}': it belongs to another model: name the right file",
                    name_, printable(tensor_name));
  }
  return header_.entries[found->second];
}

Tensor SafetensorsFile::tensor(std::string_view tensor_name) const {
  const SafetensorsEntry& entry = info(tensor_name);
  const auto* const data = static_cast<const std::byte*>(bytes_->data()) + entry.begin_bytes;
  if (reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(size_of(entry.dtype)) == 0) {
    return {bytes_, entry.begin_bytes, entry.shape, entry.dtype};
  }
  Tensor copy(entry.shape, entry.dtype);
  if (entry.size_bytes > 0) {
    std::memcpy(copy.raw(), data, static_cast<size_t>(entry.size_bytes));
  }
  return copy;
}

bool SafetensorsFile::has_checksums() const noexcept {
  return std::ranges::all_of(header_.entries, [](const auto& e) { return e.checksum.has_value(); });
}

void SafetensorsFile::verify() const {
  const auto n = static_cast<int64_t>(header_.entries.size());
  const auto* const data = static_cast<const std::byte*>(bytes_->data());
  std::vector<char> damaged(static_cast<size_t>(n), false);  // char: threads write neighbours
  parallel_items(n, [&](int64_t i, int /*thread*/) {
    const SafetensorsEntry& entry = header_.entries[static_cast<size_t>(i)];
    damaged[static_cast<size_t>(i)] =
        entry.checksum && *entry.checksum != checksum_of(entry, data + entry.begin_bytes);
  });
  const auto first = std::ranges::find(damaged, true);
  if (first != damaged.end()) {
    refuse(name_, header_.entries[static_cast<size_t>(first - damaged.begin())].name,
           "is damaged, its checksum differs");
  }
}

void SafetensorsFile::check_finite() const {
  const auto n = static_cast<int64_t>(header_.entries.size());
  const auto* const data = static_cast<const std::byte*>(bytes_->data());
  std::vector<int64_t> where(static_cast<size_t>(n), -1);
  parallel_items(n, [&](int64_t i, int /*thread*/) {
    const SafetensorsEntry& entry = header_.entries[static_cast<size_t>(i)];
    where[static_cast<size_t>(i)] =
        first_non_finite(entry.dtype, data + entry.begin_bytes, entry.shape.numel());
  });
  for (size_t i = 0; i < where.size(); ++i) {
    if (where[i] < 0) continue;
    throw NumericError("{}: tensor '{}': element {} is not finite: go back to an older checkpoint",
                       name_, printable(header_.entries[i].name), where[i]);
  }
}

FileDigest write_safetensors(const std::filesystem::path& path,
                             std::span<const NamedTensor> tensors,
                             const SafetensorsMetadata& metadata, bool finite) {
  const std::string file_name = path.string();
  for (const auto& [key, value] : metadata) {
    NC_CHECK(!key.starts_with(kSealKey), "metadata key '{}' is reserved", key);
  }
  const std::vector<const NamedTensor*> order = order_for_alignment(tensors);
  std::vector<SafetensorsEntry> entries;
  std::map<std::string_view, bool> seen;
  int64_t end_bytes = 0;
  for (const NamedTensor* const t : order) {
    NC_CHECK(t->tensor.defined() && t->tensor.device().kind == DeviceKind::kCpu, "tensor '{}'",
             t->name);
    NC_CHECK(t->name != kMetadataKey && seen.emplace(t->name, true).second, "tensor '{}'", t->name);
    const int64_t bad =
        finite ? first_non_finite(t->tensor.dtype(), t->tensor.raw(), t->tensor.numel()) : -1;
    if (bad >= 0) {
      throw NumericError("{}: tensor '{}': element {} is not finite: nothing was written",
                         file_name, t->name, bad);
    }
    entries.push_back({.name = t->name,
                       .dtype = t->tensor.dtype(),
                       .shape = t->tensor.shape(),
                       .begin_bytes = end_bytes,  // from the first data byte, as the file has it
                       .size_bytes = t->tensor.size_bytes(),
                       .checksum = {}});
    end_bytes += t->tensor.size_bytes();
  }
  parallel_items(static_cast<int64_t>(order.size()), [&](int64_t i, int /*thread*/) {
    const auto at = static_cast<size_t>(i);
    entries[at].checksum = checksum_of(entries[at], order[at]->tensor.raw());
  });

  AtomicFile file(path);
  Xxh3 hash;
  const auto write = [&](std::span<const std::byte> bytes) {
    while (!bytes.empty()) {  // hashed in pieces, while each is in the cache for the writing
      const auto piece = bytes.first(std::min(bytes.size(), kWriteBytes));
      hash.update(piece);
      file.write(piece);
      bytes = bytes.subspan(piece.size());
    }
  };
  const std::string header = header_text(file_name, entries, metadata);
  write(std::as_bytes(std::span(header)));
  for (const NamedTensor* const t : order) {
    write({static_cast<const std::byte*>(t->tensor.raw()),
           static_cast<size_t>(t->tensor.size_bytes())});
  }
  file.commit();
  return {file.size_bytes(), hash.digest()};
}

}  // namespace nanochat
