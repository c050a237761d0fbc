#include "train/checkpoint.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <exception>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "core/error.h"
#include "core/file.h"
#include "core/mapped_file.h"
#include "core/parallel.h"
#include "model/weights.h"
#include "ops/transfer.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kModelFile = "model.safetensors";
constexpr const char* kStateFile = "state.json";
constexpr std::string_view kIntegerKey = "integer:";  // followed by a name, in the metadata
constexpr std::string_view kRealKey = "real:";
constexpr int64_t kStateVersion = 1;
constexpr int64_t kMaxJsonBytes = int64_t{1} << 30;

std::string optimizer_file(int64_t rank) { return fmt::format("optim/rank_{}.safetensors", rank); }
std::string loader_file(int64_t rank) { return fmt::format("loader/rank_{}.safetensors", rank); }

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw_errno("make the folder", path, error.value());
}

// ---- the optimizer's state as tensors and metadata

/// Numbers as text that gives the same bits again: the shortest that does.
std::string to_text(int64_t value) { return fmt::format("{}", value); }
std::string to_text(double value) { return fmt::format("{}", value); }
template <typename T>
bool from_text(const std::string& text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

class StateSaver final : public StateVisitor {
 public:
  explicit StateSaver(Backend* backend) : backend_(backend) {}

  std::vector<NamedTensor> tensors;
  SafetensorsMetadata numbers;

  void tensor(std::string_view name, Tensor& value) override {
    tensors.push_back({std::string(name), backend_ ? on_host(*backend_, value) : value});
  }
  void integer(std::string_view name, int64_t& value) override { add(kIntegerKey, name, value); }
  void real(std::string_view name, double& value) override { add(kRealKey, name, value); }

 private:
  template <typename T>
  void add(std::string_view kind, std::string_view name, T value) {
    const bool added = numbers.emplace(fmt::format("{}{}", kind, name), to_text(value)).second;
    NC_CHECK(added, "two numbers of the optimizer are called '{}'", name);
  }

  Backend* backend_;
};

/// Looks whether a file holds just what is shown to it; changes nothing.
class StateChecker : public StateVisitor {
 public:
  explicit StateChecker(const SafetensorsFile& file) : file_(file) {}

  void tensor(std::string_view name, Tensor& value) override {
    ++n_tensors_;
    if (!file_.contains(name)) refuse(name);
    const SafetensorsEntry& entry = file_.info(name);
    if (entry.dtype != value.dtype() || entry.shape != value.shape()) {
      throw DataError("{}: '{}' is {} {}, this run's optimizer needs {} {}", file_.name(), name,
                      name_of(entry.dtype), entry.shape, name_of(value.dtype()), value.shape());
    }
  }
  void integer(std::string_view name, int64_t& value) override { number(kIntegerKey, name, value); }
  void real(std::string_view name, double& value) override { number(kRealKey, name, value); }

  /// After the walk: nothing may be left over.
  void finish() const {
    if (n_tensors_ == file_.entries().size() && n_numbers_ == file_.metadata().size()) return;
    throw DataError(
        "{}: holds {} tensors and {} numbers, this run's optimizer has {} and {}: resume with the "
        "optimizer that wrote it",
        file_.name(), file_.entries().size(), file_.metadata().size(), n_tensors_, n_numbers_);
  }

 protected:
  [[nodiscard]] const SafetensorsFile& file() const noexcept { return file_; }
  template <typename T>
  T read_number(std::string_view kind, std::string_view name) const {
    const auto found = file_.metadata().find(fmt::format("{}{}", kind, name));
    T value{};
    if (found == file_.metadata().end() || !from_text(found->second, value)) refuse(name);
    return value;
  }

 private:
  [[noreturn]] void refuse(std::string_view name) const {
    throw DataError("{}: has no '{}': resume with the optimizer that wrote it", file_.name(), name);
  }
  template <typename T>
  void number(std::string_view kind, std::string_view name, const T& /*value*/) {
    ++n_numbers_;
    static_cast<void>(read_number<T>(kind, name));
  }

  const SafetensorsFile& file_;
  size_t n_tensors_ = 0, n_numbers_ = 0;
};

class StateLoader final : public StateChecker {
 public:
  StateLoader(const SafetensorsFile& from, Backend& backend)
      : StateChecker(from), backend_(backend) {}

  void tensor(std::string_view name, Tensor& value) override {
    backend_.copy(file().tensor(name), value);
  }
  void integer(std::string_view name, int64_t& value) override {
    value = read_number<int64_t>(kIntegerKey, name);
  }
  void real(std::string_view name, double& value) override {
    value = read_number<double>(kRealKey, name);
  }

 private:
  Backend& backend_;
};

// ---- state.json

/// JSON would write null for these, and the run could not go on from it.
void check_numbers(const Json& json, const std::string& where) {
  if (json.is_number_float()) {
    NC_CHECK(std::isfinite(json.get<double>()), "state{} is not finite: leave it out", where);
  }
  if (!json.is_structured()) return;
  for (const auto& [key, value] : json.items()) check_numbers(value, where + "." + key);
}

std::string state_text(const CheckpointManifest& manifest, const std::string& model_config,
                       const Json& state) {
  NC_CHECK(state.is_object() || state.is_null());
  check_numbers(state, "");
  Json all;
  all["version"] = kStateVersion;
  all["step"] = manifest.step;
  all["world_size"] = manifest.world_size;
  all["model"] = Json::parse(model_config);
  for (const auto& [key, value] : state.items()) {
    NC_CHECK(!all.contains(key), "the key '{}' is ours", key);
    all[key] = value;
  }
  return all.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

// ---- comparing

/// "n_layer is 4, not 6; n_embd is 256, not 384".
std::string differences(const GptConfig& has, const GptConfig& needs) {
  const Json a = Json::parse(has.to_json()), b = Json::parse(needs.to_json());
  std::string text;
  for (const auto& [key, value] : a.items()) {
    if (value == b[key]) continue;
    text += fmt::format("{}{} is {}, not {}", text.empty() ? "" : "; ", key, value.dump(),
                        b[key].dump());
  }
  return text;
}

}  // namespace

// ---- writing

CheckpointWriter::CheckpointWriter(const RunFolder& run, int64_t step, int64_t world_size)
    : run_(run.path()),
      final_(run_ / checkpoint_name(step)),
      temporary_(run_ / fmt::format(".{}.tmp-{}", checkpoint_name(step), ::getpid())),
      manifest_{.step = step, .world_size = world_size, .files = {}} {
  NC_CHECK(step >= 0 && world_size > 0, "step {}, {} processes", step, world_size);
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);
  guarded([&] { make_folder(temporary_); });
}

CheckpointWriter::~CheckpointWriter() {
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);
}

/// Runs f; its errors name the file by its name to be, not by one that is gone when they are read.
template <typename F>
void CheckpointWriter::guarded(F&& f) const {
  const auto renamed = [this](std::string text) {
    const std::string from = temporary_.string(), to = final_.string();
    for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at)) {
      text.replace(at, from.size(), to);
      at += to.size();
    }
    return text;
  };
  try {
    f();
  } catch (const IoError& e) {
    throw IoError("{} (earlier checkpoints are intact)", renamed(e.what()));
  } catch (const NumericError& e) {
    throw NumericError("{}", renamed(e.what()));
  }
}

void CheckpointWriter::write_model(const Gpt& model) {
  model_config_ = model.config().to_json();
  guarded([&] {
    model.backend().synchronize();
    manifest_.files[kModelFile] = save_weights(model, temporary_ / kModelFile);
  });
}

void CheckpointWriter::write_rank(const CheckpointRank& rank) {
  NC_CHECK(rank.rank >= 0 && rank.rank < manifest_.world_size, "rank {}", rank.rank);
  guarded([&] { manifest_.files.merge(write_checkpoint_rank(temporary_, rank)); });
}

fs::path CheckpointWriter::commit(const Json& state) {
  NC_CHECK(!model_config_.empty(), "a checkpoint without a model");
  const std::string text = state_text(manifest_, model_config_, state);
  guarded([&] {
    write_file_atomically(temporary_ / kStateFile, text);
    manifest_.files[kStateFile] = {static_cast<int64_t>(text.size()), xxh3_of(text)};
    for (const auto& entry : fs::recursive_directory_iterator(temporary_)) {
      const std::string name = entry.path().lexically_relative(temporary_).generic_string();
      // Other processes' files are in the page cache still.
      if (entry.is_regular_file() && !manifest_.files.contains(name)) {
        manifest_.files[name] = digest_of_file(entry.path());
      }
    }
    write_file_atomically(temporary_ / kManifestFileName,
                          manifest_.to_text());  // flushes names too
    give_name();
    sync_folder(run_);
  });
  return final_;
}

void CheckpointWriter::give_name() const {
  if (::rename(temporary_.c_str(), final_.c_str()) == 0) return;
  if (errno != ENOTEMPTY && errno != EEXIST) throw_errno("rename", temporary_, errno);
  // There is one of this step: the two change places, and the destructor removes the old one.
  if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, final_.c_str(), RENAME_EXCHANGE) == 0) {
    return;
  }
  if (errno != EINVAL && errno != ENOSYS) throw_errno("replace", final_, errno);
  // A file system that cannot. Killed between these two lines, the run goes on from an older one.
  const fs::path old = run_ / fmt::format(".{}.old-{}", final_.filename().string(), ::getpid());
  if (::rename(final_.c_str(), old.c_str()) != 0 ||
      ::rename(temporary_.c_str(), final_.c_str()) != 0) {
    throw_errno("replace", final_, errno);
  }
  std::error_code ignored;
  fs::remove_all(old, ignored);
}

std::map<std::string, FileDigest, std::less<>> write_checkpoint_rank(const fs::path& folder,
                                                                     const CheckpointRank& rank) {
  std::map<std::string, FileDigest, std::less<>> digests;
  if (rank.optimizer) {
    StateSaver saver(rank.backend);
    rank.optimizer(saver);
    const std::string name = optimizer_file(rank.rank);
    make_folder((folder / name).parent_path());
    digests[name] = write_safetensors(folder / name, saver.tensors, saver.numbers);
  }
  if (!rank.loader.empty()) {
    const std::string name = loader_file(rank.rank);
    make_folder((folder / name).parent_path());
    digests[name] = write_safetensors(folder / name, rank.loader);
  }
  return digests;
}

fs::path save_checkpoint(const RunFolder& run, int64_t step, const Gpt& model,
                         const VisitState& optimizer, const Json& state,
                         std::span<const NamedTensor> loader) {
  CheckpointWriter writer(run, step);
  writer.write_model(model);
  writer.write_rank(
      {.rank = 0, .optimizer = optimizer, .backend = &model.backend(), .loader = loader});
  return writer.commit(state);
}

// ---- reading

Checkpoint::Checkpoint(fs::path folder, CheckpointUse use) : folder_(std::move(folder)) {
  const std::string manifest_path = path_of(kManifestFileName);
  std::error_code ignored;
  if (!fs::exists(folder_, ignored)) {
    throw NotFoundError("{}: there is no such checkpoint", folder_.string());
  }
  if (!fs::exists(manifest_path, ignored)) {
    throw NotFoundError("{}: is no complete checkpoint, it has no {}", folder_.string(),
                        kManifestFileName);
  }
  manifest_ = CheckpointManifest::parse(read_file(manifest_path, kMaxJsonBytes), manifest_path);
  const auto named = parse_checkpoint_name(folder_.filename().string());
  if (named && *named != manifest_.step) {
    throw DataError("{}: holds step {}: rename the folder to {}", folder_.string(), manifest_.step,
                    checkpoint_name(manifest_.step));
  }
  check_files(folder_, manifest_);
  for (const char* const needed : {kModelFile, kStateFile}) {
    if (!manifest_.files.contains(needed)) {
      throw DataError("{}: lists no {}: go back to another checkpoint", manifest_path, needed);
    }
  }

  std::vector<std::string> names;
  for (const auto& [name, digest] : manifest_.files) {
    const bool needed = use == CheckpointUse::kResume || name == kStateFile ||
                        (use == CheckpointUse::kModel && name == kModelFile);
    if (needed) names.push_back(name);
  }
  // Mapped before it is read: a folder that is replaced meanwhile cannot slip in.
  for (const std::string& name : names) verified_[name] = map_file(path_of(name));
  verify(names);
  const StoragePtr& state = verified_.at(kStateFile);
  const auto* const text = static_cast<const char*>(state->data());
  state_ = Json::parse(text, text + state->size_bytes(), nullptr, /*allow_exceptions=*/false);
  if (!state_.is_object()) throw DataError("{}: is not JSON", path_of(kStateFile));
  if (use == CheckpointUse::kState) {
    config_ = GptConfig::parse_json(state_.value("model", Json()).dump(), path_of(kStateFile));
  } else {
    config_ = read_gpt_config(open(kModelFile));
  }
}

std::string Checkpoint::path_of(std::string_view name) const { return (folder_ / name).string(); }

void Checkpoint::verify(const std::vector<std::string>& names) const {
  std::vector<std::exception_ptr> errors(names.size());
  parallel_items(static_cast<int64_t>(names.size()), [&](int64_t i, int /*thread*/) {
    const std::string& name = names[static_cast<size_t>(i)];
    try {
      if (digest_of_file(path_of(name)) != manifest_.files.at(name)) {
        throw DataError("{}: is damaged, its checksum differs: go back to another checkpoint",
                        path_of(name));
      }
    } catch (...) {
      errors[static_cast<size_t>(i)] = std::current_exception();
    }
  });
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

SafetensorsFile Checkpoint::open(const std::string& name) const {
  const auto found = verified_.find(name);
  if (found != verified_.end()) {
    return {found->second, path_of(name), {.checksums = false, .finite = false}};
  }
  const StoragePtr mapped = map_file(path_of(name));
  verify({name});
  return {mapped, path_of(name), {.checksums = false, .finite = false}};
}

bool Checkpoint::has_optimizer() const { return manifest_.files.contains(optimizer_file(0)); }

void Checkpoint::check_config(const Gpt& model) const {
  if (config_ == model.config()) return;
  throw DataError("{}: is of another model: {}", folder_.string(),
                  differences(config_, model.config()));
}

void Checkpoint::load_model(Gpt& model) const {
  check_config(model);
  load_weights(model, open(kModelFile));
}

void Checkpoint::load_packed_model(Gpt& model) const {
  check_config(model);
  const fs::path packed =
      folder_ / fmt::format("{}{}.safetensors", kPackedPrefix, name_of(*model.options().packed));
  const std::string source = fmt::format("{:016x}", manifest_.files.at(kModelFile).xxh3);
  try {
    return load_packed_weights(model, packed, source);
  } catch (const Error&) {  // not there, or not to be trusted
  }
  load_weights(model, open(kModelFile));
  try {
    save_packed_weights(model, packed, source);
  } catch (const Error&) {  // a folder that is not ours to write to, a full disk: next time again
  }
}

void Checkpoint::check_world_size(int64_t rank, int64_t world_size) const {
  NC_CHECK(rank >= 0 && rank < world_size, "rank {} of {}", rank, world_size);
  if (world_size == manifest_.world_size) return;
  throw DataError("{}: was written by {} processes, this run has {}: start as many (mpirun -np {})",
                  folder_.string(), manifest_.world_size, world_size, manifest_.world_size);
}

void Checkpoint::load_optimizer(Backend& backend, const VisitState& optimizer, int64_t rank,
                                int64_t world_size) const {
  check_world_size(rank, world_size);
  const std::string name = optimizer_file(rank);
  if (!manifest_.files.contains(name)) {
    throw DataError("{}: holds no optimizer state: it can be used, but not resumed",
                    folder_.string());
  }
  const SafetensorsFile file = open(name);
  StateChecker checker(file);
  optimizer(checker);
  checker.finish();
  StateLoader loader(file, backend);
  optimizer(loader);
  backend.synchronize();
}

std::vector<NamedTensor> Checkpoint::loader_tensors(int64_t rank, int64_t world_size) const {
  check_world_size(rank, world_size);
  const std::string name = loader_file(rank);
  std::vector<NamedTensor> tensors;
  if (!manifest_.files.contains(name)) return tensors;
  const SafetensorsFile file = open(name);
  for (const std::string& tensor : file.names()) {
    tensors.push_back({tensor, file.tensor(tensor).clone()});
  }
  std::ranges::sort(tensors, {}, &NamedTensor::name);
  return tensors;
}

}  // namespace nanochat
