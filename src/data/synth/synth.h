/// A small world of our own making, written as files to train on: no network needed.
///
/// docs/synthetic_world.md tells what is in it. A folder:
///   shard_00000.jsonl ...         {"text": ...} a line; the last shard is for validation
///   chat/conversations_train.jsonl, chat/conversations_test.jsonl
///                                 a JSON array of {"role", "content"} a line
///   chat/questions_test.jsonl     {"question", "answer", "kind", "language", "prompt", "response"}
///   manifest.json                 the options, every file's size, counts
/// The chat files lie deeper so that the folder given as --data means the shards alone.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/synth/documents.h"
#include "data/synth/language.h"

namespace nanochat::synth {

/// Part of what a seed means: raised whenever the same options give other bytes.
inline constexpr int kGeneratorVersion = 1;

struct SynthOptions {
  uint64_t seed = 1;
  int64_t size_bytes = 24'000'000;   ///< of the training text, without the JSON around it
  int64_t documents = 0;             ///< of the training text; not 0: instead of size_bytes
  std::optional<Language> language;  ///< none: both
  int64_t conversations = 10'000;
  bool overwrite = false;  ///< replace a world made with other options
};

struct SynthFile {
  std::string name;  ///< below the folder
  int64_t lines = 0;
  int64_t bytes = 0;
};

struct SynthCount {
  int64_t documents = 0;
  int64_t bytes = 0;  ///< of text
};

struct SynthSummary {
  bool was_there = false;  ///< the folder holds just this world already: nothing was written
  std::vector<SynthFile> files;
  /// By language and kind; training text only.
  std::array<std::array<SynthCount, kDocumentKinds>, 2> counts{};

  [[nodiscard]] SynthCount total() const noexcept;
};

/// Called between blocks of documents with the bytes of text so far; may throw to stop.
using SynthProgress = std::function<void(int64_t bytes)>;

/// The same options give the same bytes on every machine and for any number of threads. Everything
/// is written into a folder beside `folder` that takes its name at the end, so a world is there
/// whole or not at all; when it throws, what was written is removed again.
///
/// Throws UsageError for options out of range, and when `folder` holds something else (other
/// options: unless overwrite; files that are no world of ours: always); IoError.
SynthSummary write_world(const std::filesystem::path& folder, const SynthOptions& options,
                         const SynthProgress& progress = {});

/// What the world in `folder` was made with; nothing when it is none of this generator's.
[[nodiscard]] std::optional<SynthOptions> world_options(const std::filesystem::path& folder);

}  // namespace nanochat::synth
