#include "train/checkpoint_manifest.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/file.h"
#include "train/run_folder.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::string_view kFormat = "nanochat-checkpoint";
constexpr int64_t kVersion = 1;

/// The lines that end a manifest whose other lines are `body`.
std::string seal(std::string_view body) {
  return fmt::format("\"xxh3\": \"{}\"\n}}\n", to_hex(xxh3_of(body)));
}

[[noreturn]] void refuse(const std::string& where, std::string_view what) {
  throw DataError("{}: {}: go back to another checkpoint", where, what);
}

/// The number under `key`; refuses what is none.
int64_t number_in(const Json& json, const char* key, const std::string& where) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number_integer()) {
    refuse(where, fmt::format("'{}' is missing or no number", key));
  }
  return found->get<int64_t>();
}

FileDigest digest_in(const std::string& name, const Json& json, const std::string& where) {
  const auto hash = json.is_object() && json.contains("xxh3") && json["xxh3"].is_string()
                        ? from_hex(json["xxh3"].get<std::string>())
                        : std::nullopt;
  if (!hash) refuse(where, fmt::format("'{}' has no checksum", name));
  return {number_in(json, "bytes", where), *hash};
}

}  // namespace

std::string CheckpointManifest::to_text() const {
  std::string body = fmt::format(
      "{{\n\"format\": \"{}\",\n\"version\": {},\n\"step\": {},\n\"world_size\": {},\n\"files\": "
      "{{",
      kFormat, kVersion, step, world_size);
  for (const char* separator = "\n"; const auto& [name, digest] : files) {
    body +=
        fmt::format("{}{}: {{\"bytes\": {}, \"xxh3\": \"{}\"}}", std::exchange(separator, ",\n"),
                    Json(name).dump(), digest.size_bytes, to_hex(digest.xxh3));
  }
  body += "\n},\n";
  return body + seal(body);
}

CheckpointManifest CheckpointManifest::parse(std::string_view text, const std::string& where) {
  // The seal comes before the meaning: what is read below is what was written.
  const size_t seal_size = seal("").size();
  const std::string_view body = text.substr(0, text.size() - std::min(text.size(), seal_size));
  if (text.size() < seal_size || text.substr(body.size()) != seal(body)) {
    refuse(where, "does not match its own checksum, it is damaged");
  }
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("format") || json["format"] != kFormat) {
    refuse(where, "is no checkpoint's manifest");
  }
  const int64_t version = number_in(json, "version", where);
  if (version != kVersion) {
    throw DataError("{}: is of version {}, this program reads {}: use a newer nanochat", where,
                    version, kVersion);
  }
  CheckpointManifest manifest{.step = number_in(json, "step", where),
                              .world_size = number_in(json, "world_size", where),
                              .files = {}};
  const auto files = json.find("files");
  if (files == json.end() || !files->is_object()) refuse(where, "lists no files");
  for (const auto& [name, digest] : files->items()) {
    manifest.files.emplace(name, digest_in(name, digest, where));
  }
  return manifest;
}

void check_files(const fs::path& folder, const CheckpointManifest& manifest) {
  std::error_code error;
  for (const auto& [name, digest] : manifest.files) {
    const fs::path path = folder / name;
    const auto size = static_cast<int64_t>(fs::file_size(path, error));
    if (error) {
      refuse(path.string(), error == std::errc::no_such_file_or_directory
                                ? "is missing, though the checkpoint's manifest lists it"
                                : error.message());
    }
    if (size != digest.size_bytes) {
      refuse(path.string(), fmt::format("has {} bytes, the checkpoint's manifest says {}", size,
                                        digest.size_bytes));
    }
  }
  for (auto entry = fs::recursive_directory_iterator(folder, error);
       !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().lexically_relative(folder).generic_string();
    if (name == kManifestFileName || manifest.files.contains(name)) continue;
    // Made from the checkpoint, not part of it, and checked where it is used; ".packed-" is one
    // that is just being written.
    if (name.starts_with(kPackedPrefix) || name.starts_with(fmt::format(".{}", kPackedPrefix))) {
      if (entry->is_directory()) entry.disable_recursion_pending();
      continue;
    }
    // A folder of listed files.
    const auto first = manifest.files.lower_bound(name + "/");
    if (entry->is_directory() && first != manifest.files.end() &&
        first->first.starts_with(name + "/")) {
      continue;
    }
    throw DataError(
        "{}: does not belong to the checkpoint, its manifest does not list it: move it away",
        entry->path().string());
  }
  if (error) throw_errno("read the folder", folder, error.value());
}

}  // namespace nanochat
