#include "data/loader_state.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <memory>
#include <span>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"
#include "core/file.h"
#include "core/xxh3.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr int64_t kVersion = 1;
constexpr int64_t kEndBytes = 4096;  // of either end of a file

/// Adds so that neighbours are told apart.
void add(Xxh3& hash, int64_t number) { hash.update(std::as_bytes(std::span(&number, 1))); }
void add(Xxh3& hash, std::string_view bytes) {
  add(hash, std::ssize(bytes));
  hash.update(bytes);
}

/// The bytes at `offset`, as many as there are.
std::string read_at(int fd, const fs::path& file, int64_t offset) {
  std::string bytes(kEndBytes, '\0');
  const ssize_t n = ::pread(fd, bytes.data(), bytes.size(), offset);
  if (n < 0) throw_errno("read", file, errno);
  bytes.resize(static_cast<size_t>(n));
  return bytes;
}

/// Adds a file's size and ends; returns the size.
int64_t add_file(Xxh3& hash, const fs::path& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw_errno("read", file, errno);
  const std::unique_ptr<const int, void (*)(const int*)> closer(&fd,
                                                                [](const int* f) { ::close(*f); });
  struct stat status {};
  if (::fstat(fd, &status) != 0) throw_errno("read", file, errno);
  const int64_t size = status.st_size;
  add(hash, size);
  if (!S_ISREG(status.st_mode))
    throw_errno("read", file, S_ISDIR(status.st_mode) ? EISDIR : ESPIPE);
  add(hash, read_at(fd, file, 0));
  add(hash, read_at(fd, file, std::max<int64_t>(size - kEndBytes, 0)));
  return size;
}

std::string_view name_of(Packing packing) {
  return packing == Packing::kStream ? "stream" : "best fit";
}

/// Fields of the position in their order in the JSON.
constexpr std::array<std::pair<const char*, int64_t StreamPosition::*>, 6> kFields{{
    {"epoch", &StreamPosition::epoch},
    {"file", &StreamPosition::file},
    {"group", &StreamPosition::group},
    {"document", &StreamPosition::document},
    {"offset", &StreamPosition::offset},
    {"token", &StreamPosition::token},
}};

/// What the state says about itself, read with checks.
class StateReader {
 public:
  explicit StateReader(std::string_view text)
      : json_(ordered_json::parse(text, nullptr, /*allow_exceptions=*/false)) {
    if (!json_.is_object()) refuse("it is not JSON");
  }
  [[nodiscard]] int64_t number(const char* name) const {
    const auto found = json_.find(name);
    if (found == json_.end() || !found->is_number_integer() || found->get<int64_t>() < 0) {
      refuse(fmt::format("'{}' is missing in it", name));
    }
    return found->get<int64_t>();
  }
  [[nodiscard]] std::string text(const char* name) const {
    const auto found = json_.find(name);
    if (found == json_.end() || !found->is_string()) {
      refuse(fmt::format("'{}' is missing in it", name));
    }
    return found->get<std::string>();
  }
  [[noreturn]] static void refuse(std::string_view what) {
    throw DataError("resume: the data loader's state is damaged: {}: take an earlier checkpoint",
                    what);
  }

 private:
  ordered_json json_;
};

void check_same(const StateReader& state, const LoaderIdentity& identity,
                const TokenLoaderOptions& options) {
  if (state.number("version") != kVersion) {
    throw UsageError("resume: the data loader's state has version {}, this program knows {}",
                     state.number("version"), kVersion);
  }
  if (state.text("packing") != name_of(options.packing)) {
    throw UsageError("resume: the checkpoint's batches are packed by {}, not by {}: keep it",
                     state.text("packing"), name_of(options.packing));
  }
  if (state.number("world_size") != options.world_size || state.number("rank") != options.rank) {
    throw UsageError(
        "resume: this is rank {} of {} processes, the checkpoint's data loader was rank {} of {}: "
        "run as many as then",
        options.rank, options.world_size, state.number("rank"), state.number("world_size"));
  }
  if (options.packing == Packing::kBestFit &&
      state.number("sequence_len") != options.sequence_len) {
    throw UsageError("resume: the checkpoint's documents are packed for --sequence-len {}, not {}",
                     state.number("sequence_len"), options.sequence_len);
  }
  if (state.text("tokenizer") != to_hex(identity.tokenizer)) {
    throw UsageError(
        "resume: this tokenizer is not the one that the checkpoint's run used: name that one");
  }
  if (state.text("data") == to_hex(identity.data.xxh3)) return;
  const int64_t files = state.number("files"), bytes = state.number("bytes");
  const bool same_size = files == identity.data.files && bytes == identity.data.bytes;
  throw UsageError(
      "resume: the training data have changed since the checkpoint: {}: give the same --data",
      same_size ? "the same sizes, but other names, contents or text options"
                : fmt::format("{} files of {} bytes now, {} of {} then", identity.data.files,
                              identity.data.bytes, files, bytes));
}

}  // namespace

DataFingerprint fingerprint_of(const std::vector<DataPart>& parts,
                               const DocumentSourceOptions& options) {
  DataFingerprint fingerprint;
  Xxh3 hash;
  add(hash, options.text_field);
  add(hash, options.txt_separator);
  for (const DataPart& part : parts) {
    add(hash, part.file.filename().string());  // the folder may move
    for (const int64_t bound :
         {part.begin_document, part.end_document, part.begin_offset, part.end_offset}) {
      add(hash, bound);
    }
    try {
      fingerprint.bytes += add_file(hash, part.file);
    } catch (const Error&) {
      if (!options.skip_bad_shards) throw;
    }
    ++fingerprint.files;
  }
  fingerprint.xxh3 = hash.digest();
  return fingerprint;
}

std::string position_to_json(const StreamPosition& position, const LoaderIdentity& identity,
                             const TokenLoaderOptions& options) {
  ordered_json json{{"version", kVersion}};
  for (const auto& [name, field] : kFields) json[name] = position.*field;
  json["packing"] = name_of(options.packing);
  if (options.packing == Packing::kBestFit) json["sequence_len"] = options.sequence_len;
  json["rank"] = options.rank;
  json["world_size"] = options.world_size;
  json["files"] = identity.data.files;
  json["bytes"] = identity.data.bytes;
  json["data"] = to_hex(identity.data.xxh3);
  json["tokenizer"] = to_hex(identity.tokenizer);
  return json.dump();
}

StreamPosition position_from_json(std::string_view text, const LoaderIdentity& identity,
                                  const TokenLoaderOptions& options) {
  const StateReader state(text);
  check_same(state, identity, options);
  StreamPosition position;
  for (const auto& [name, field] : kFields) position.*field = state.number(name);
  if (position.epoch < 1 || position.file > identity.data.files) {
    StateReader::refuse("it points behind the data");
  }
  return position;
}

}  // namespace nanochat
