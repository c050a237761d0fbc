#include "data/synth/synth.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "core/error.h"
#include "core/file.h"
#include "core/parallel.h"
#include "data/synth/conversations.h"

namespace nanochat::synth {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int64_t kShardBytes = 4'000'000;
constexpr int64_t kBlock = 1024;  // documents made at a time
/// Validation documents are numbered from here.
constexpr int64_t kFirstValidation = int64_t{1} << 40;
/// So are test conversations.
constexpr int64_t kFirstTest = int64_t{1} << 40;
constexpr int64_t kMaxSizeBytes = 1'000'000'000'000, kMaxDocuments = 1'000'000'000;
/// Of a kind and language, at most.
constexpr int64_t kTestQuestions = 60;
/// Documents in English, of a hundred. Chinese ones are shorter in bytes by a tenth.
constexpr int kEnglishPercent = 58;
constexpr std::string_view kManifest = "manifest.json";

void check_options(const SynthOptions& options) {
  if (options.documents < 0 || options.documents > kMaxDocuments) {
    throw UsageError("{} documents: give from 1 to {}", options.documents, kMaxDocuments);
  }
  if (options.documents == 0 &&
      (options.size_bytes < 10'000 || options.size_bytes > kMaxSizeBytes)) {
    throw UsageError("{} bytes of text: give from 0.01 to {} MB", options.size_bytes,
                     kMaxSizeBytes / 1'000'000);
  }
  if (options.conversations < 0 || options.conversations > kMaxDocuments) {
    throw UsageError("{} conversations: give from 0 to {}", options.conversations, kMaxDocuments);
  }
}

Json to_json(const SynthOptions& options) {
  Json json{{"seed", options.seed},
            {"language", options.language ? std::string(code(*options.language)) : "both"}};
  if (options.documents > 0) {
    json["documents"] = options.documents;
  } else {
    json["size_bytes"] = options.size_bytes;
  }
  json["conversations"] = options.conversations;
  return json;
}

Json to_json(const SynthSummary& summary, const SynthOptions& options) {
  Json files = Json::array();
  for (const SynthFile& file : summary.files) {
    files.push_back({{"name", file.name}, {"lines", file.lines}, {"bytes", file.bytes}});
  }
  Json counts;
  for (const Language language : {Language::kEnglish, Language::kChinese}) {
    for (int kind = 0; kind < kDocumentKinds; ++kind) {
      const SynthCount& count =
          summary.counts[static_cast<size_t>(language)][static_cast<size_t>(kind)];
      counts[std::string(code(language))][std::string(name(static_cast<DocumentKind>(kind)))] = {
          {"documents", count.documents}, {"bytes", count.bytes}};
    }
  }
  return {{"format", "nanochat-synthetic-world"},
          {"version", kGeneratorVersion},
          {"options", to_json(options)},
          {"files", std::move(files)},
          {"training_text", std::move(counts)}};
}

/// What the manifest tells; nothing when it is none of ours.
struct Found {
  Json json;
  SynthSummary summary;
};

std::optional<Found> read_manifest(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::is_regular_file(folder / kManifest, ignored)) return std::nullopt;
  Found found;
  try {
    found.json = Json::parse(read_file(folder / kManifest, 1'000'000));
    if (found.json.at("format") != "nanochat-synthetic-world") return std::nullopt;
    for (const Json& file : found.json.at("files")) {
      found.summary.files.push_back({file.at("name"), file.at("lines"), file.at("bytes")});
    }
    if (found.json.at("version") == kGeneratorVersion) {
      for (const Language language : {Language::kEnglish, Language::kChinese}) {
        for (int kind = 0; kind < kDocumentKinds; ++kind) {
          const Json& count = found.json.at("training_text")
                                  .at(std::string(code(language)))
                                  .at(std::string(name(static_cast<DocumentKind>(kind))));
          found.summary.counts[static_cast<size_t>(language)][static_cast<size_t>(kind)] = {
              count.at("documents"), count.at("bytes")};
        }
      }
    }
  } catch (const Json::exception&) {
    return std::nullopt;
  }
  return found;
}

/// Whether the folder holds just this world, whole.
bool is_whole(const fs::path& folder, const Found& found, const SynthOptions& options) {
  if (found.json.at("version") != kGeneratorVersion) return false;
  if (found.json.value("options", Json()) != to_json(options)) return false;
  return std::ranges::all_of(found.summary.files, [&](const SynthFile& file) {
    std::error_code error;
    const auto size = fs::file_size(folder / file.name, error);
    return !error && static_cast<int64_t>(size) == file.bytes;
  });
}

/// A folder beside the one that is made; gone again unless it took its place.
class TemporaryPlace {
 public:
  explicit TemporaryPlace(const fs::path& folder)
      : path_(folder.parent_path() /
              fmt::format(".{}.{}.tmp", folder.filename().string(), ::getpid())) {
    std::error_code error;
    fs::create_directories(path_ / "chat", error);
    if (error) throw_errno("make the folder", path_, error.value());
  }
  ~TemporaryPlace() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryPlace(const TemporaryPlace&) = delete;
  TemporaryPlace& operator=(const TemporaryPlace&) = delete;

  [[nodiscard]] const fs::path& path() const noexcept { return path_; }
  /// Over an empty folder or none: renaming is one step. An old world is moved away first.
  void become(const fs::path& folder) {
    std::error_code error;
    if (!fs::is_empty(folder, error) && !error) {
      // Into this folder, so that it goes with it; then back out under a name of its own.
      const fs::path old = path_.string() + ".old";
      fs::rename(folder, old, error);
      if (error) throw_errno("move away the folder", folder, error.value());
      fs::rename(path_, folder, error);
      if (error) {
        std::error_code ignored;
        fs::rename(old, folder, ignored);
        throw_errno("make the folder", folder, error.value());
      }
      fs::remove_all(old, error);
      return;
    }
    fs::rename(path_, folder, error);
    if (error) throw_errno("make the folder", folder, error.value());
  }

 private:
  fs::path path_;
};

/// Lines into one file.
class LineFile {
 public:
  LineFile(const fs::path& folder, std::string name) : name_(std::move(name)) {
    file_ = std::make_unique<AtomicFile>(folder / name_);
  }
  void add(const Json& json) {
    file_->write(json.dump());
    file_->write("\n");
    ++lines_;
  }
  [[nodiscard]] SynthFile finish() {
    file_->commit();
    return {name_, lines_, file_->size_bytes()};
  }

 private:
  std::string name_;
  std::unique_ptr<AtomicFile> file_;
  int64_t lines_ = 0;
};

class Writer {
 public:
  Writer(const fs::path& folder, const SynthOptions& options, const SynthProgress& progress)
      : folder_(folder),
        options_(options),
        progress_(progress),
        world_(options.seed),
        questions_(world_),
        documents_(world_, questions_) {}

  SynthSummary write() {
    write_training();
    write_validation();
    write_conversations();
    write_questions();
    write_file_atomically(folder_ / kManifest, to_json(summary_, options_).dump(2) + "\n");
    return std::move(summary_);
  }

 private:
  [[nodiscard]] Language draw_language(Dice& dice) const {
    const bool is_english = dice.chance(kEnglishPercent);  // drawn always: the rest stays alike
    if (options_.language) return *options_.language;
    return is_english ? Language::kEnglish : Language::kChinese;
  }

  /// Documents first .. first + n - 1, in order.
  [[nodiscard]] std::vector<Document> block(int64_t first, int64_t n, Split split) const {
    std::vector<Document> block(static_cast<size_t>(n));
    parallel_items(n, [&](int64_t i, int) {
      Dice dice(options_.seed, Part::kDocument, first + i);
      const Language language = draw_language(dice);
      block[static_cast<size_t>(i)] = documents_.draw(language, split, dice);
    });
    return block;
  }

  [[nodiscard]] std::string next_shard_name() {
    return fmt::format("shard_{:05}.jsonl", n_shards_++);
  }

  void tell(int64_t bytes) const {
    if (progress_) progress_(bytes);
  }

  void write_training() {
    int64_t n = 0, bytes = 0, shard_bytes = 0;
    const auto is_enough = [&] {
      return options_.documents > 0 ? n >= options_.documents : bytes >= options_.size_bytes;
    };
    std::unique_ptr<LineFile> shard;
    while (!is_enough()) {
      tell(bytes);
      for (const Document& document : block(n, kBlock, Split::kTrain)) {
        if (is_enough()) break;
        if (shard == nullptr) shard = std::make_unique<LineFile>(folder_, next_shard_name());
        shard->add({{"text", document.text}});
        const int64_t size = std::ssize(document.text);
        SynthCount& count =
            summary_
                .counts[static_cast<size_t>(document.language)][static_cast<size_t>(document.kind)];
        ++count.documents;
        count.bytes += size;
        ++n;
        bytes += size;
        shard_bytes += size;
        if (shard_bytes >= kShardBytes) {
          summary_.files.push_back(shard->finish());
          shard.reset();
          shard_bytes = 0;
        }
      }
    }
    if (shard != nullptr) summary_.files.push_back(shard->finish());
    tell(bytes);
  }

  /// One document for thirty of training, at most as many as help to measure.
  void write_validation() {
    const int64_t n = std::clamp<int64_t>(summary_.total().documents / 30, 20, 2000);
    LineFile shard(folder_, next_shard_name());
    for (const Document& document : block(kFirstValidation, n, Split::kAny)) {
      shard.add({{"text", document.text}});
    }
    summary_.files.push_back(shard.finish());
  }

  void write_conversations(std::string file_name, int64_t first, int64_t n, Split split) {
    LineFile file(folder_, std::move(file_name));
    for (int64_t i = 0; i < n; ++i) {
      if (i % kBlock == 0) tell(summary_.total().bytes);
      Dice dice(options_.seed, Part::kConversation, first + i);
      Json json = Json::array();
      const Language language = draw_language(dice);
      for (Message& message : draw_conversation(questions_, language, split, dice)) {
        json.push_back(
            {{"role", std::move(message.role)}, {"content", std::move(message.content)}});
      }
      file.add(json);
    }
    summary_.files.push_back(file.finish());
  }

  void write_conversations() {
    const int64_t n = options_.conversations;
    write_conversations("chat/conversations_train.jsonl", 0, n, Split::kTrain);
    write_conversations("chat/conversations_test.jsonl", kFirstTest, std::min(n, n / 20 + 10),
                        Split::kHeldOut);
  }

  /// The kinds and languages in turn, so that the first lines are a fair sample of all.
  void write_questions() {
    LineFile file(folder_, "chat/questions_test.jsonl");
    std::set<std::string> seen;
    int64_t item = 0;
    for (int64_t round = 0; round < kTestQuestions; ++round) {
      for (int kind = 0; kind < kQuestionKinds; ++kind) {
        for (const Language language : {Language::kEnglish, Language::kChinese}) {
          Dice dice(options_.seed, Part::kQuestions, item++);
          if (options_.language && *options_.language != language) continue;
          for (int tries = 0; tries < 100; ++tries) {
            const Question question =
                questions_.draw(static_cast<QuestionKind>(kind), language, Split::kHeldOut, dice);
            if (!seen.insert(question.question).second) continue;
            file.add({{"question", question.question},
                      {"answer", question.answer},
                      {"kind", name(question.kind)},
                      {"language", code(language)},
                      {"prompt", prompt(question)},
                      {"response", question.response}});
            break;
          }
        }
      }
    }
    summary_.files.push_back(file.finish());
  }

  const fs::path& folder_;
  const SynthOptions& options_;
  const SynthProgress& progress_;
  World world_;
  QuestionMaker questions_;
  DocumentMaker documents_;
  SynthSummary summary_;
  int n_shards_ = 0;
};

}  // namespace

SynthCount SynthSummary::total() const noexcept {
  SynthCount total;
  for (const auto& kinds : counts) {
    for (const SynthCount& count : kinds) {
      total.documents += count.documents;
      total.bytes += count.bytes;
    }
  }
  return total;
}

SynthSummary write_world(const fs::path& folder, const SynthOptions& options,
                         const SynthProgress& progress) {
  check_options(options);
  const fs::path target = fs::absolute(folder / "").parent_path();  // no slash at the end
  std::error_code error;
  if (fs::exists(target, error) && !fs::is_directory(target, error)) {
    throw UsageError("{}: is no folder: name another place with --out", target.string());
  }
  if (std::optional<Found> found = read_manifest(target)) {
    if (is_whole(target, *found, options)) {
      found->summary.was_there = true;
      return std::move(found->summary);
    }
    if (!options.overwrite) {
      throw UsageError(
          "{}: holds a world made with other options, or not whole: --overwrite replaces it, "
          "--out names another place",
          target.string());
    }
  } else if (fs::is_directory(target, error) && !fs::is_empty(target, error)) {
    throw UsageError("{}: is not empty and no world of ours: name another place with --out",
                     target.string());
  }
  TemporaryPlace place(target);
  SynthSummary summary = Writer(place.path(), options, progress).write();
  place.become(target);
  return summary;
}

std::optional<SynthOptions> world_options(const fs::path& folder) {
  const std::optional<Found> found = read_manifest(folder);
  if (!found || found->json.at("version") != kGeneratorVersion) return std::nullopt;
  try {
    const Json& json = found->json.at("options");
    SynthOptions options;
    options.seed = json.at("seed");
    options.size_bytes = json.value("size_bytes", options.size_bytes);
    options.documents = json.value("documents", options.documents);
    options.conversations = json.at("conversations");
    for (const Language language : {Language::kEnglish, Language::kChinese}) {
      if (json.at("language") == code(language)) options.language = language;
    }
    return options;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

}  // namespace nanochat::synth
