/// Checkpoints: everything that the next training step needs, so that it is the same to the bit.
///
///   <run>/step_000100/
///     model.safetensors           master weights; the model's configuration as metadata
///     optim/rank_0.safetensors    each process's optimizer state; its numbers as metadata
///     loader/rank_0.safetensors   each process's tensors of the data loader, where it has any
///     state.json                  step, versions, settings, data cursor, loop state, metrics so
///     far manifest.json               size and XXH3 of every file above, and its own
///
/// A checkpoint is written into a folder of another name and gets its own by one rename, when all
/// of it is on the disk. So whenever the process is killed or the machine stops, there is the old
/// set of checkpoints or the new one. docs/formats.md has the details.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "model/gpt.h"
#include "model/safetensors.h"
#include "optim/optimizer.h"
#include "train/checkpoint_manifest.h"
#include "train/run_folder.h"

namespace nanochat {

/// Shows a visitor all state of an optimizer, or of several.
using VisitState = std::function<void(StateVisitor&)>;
/// Of anything with visit_state(StateVisitor&), which outlives the result.
template <typename T>
[[nodiscard]] VisitState state_of(T& object) {
  return [&object](StateVisitor& visitor) { object.visit_state(visitor); };
}

/// What one of world_size processes keeps for itself. Nothing here is copied.
struct CheckpointRank {
  int64_t rank = 0;
  VisitState optimizer{};      ///< empty: no file
  Backend* backend = nullptr;  ///< of the optimizer's tensors; null: they are on the host
  std::span<const NamedTensor> loader{};  ///< empty: no file
};

/// Writes one checkpoint. With several processes: rank 0 makes the writer and tells the others its
/// folder(), each calls write_checkpoint_rank, and when all are done rank 0 commits.
class CheckpointWriter {
 public:
  /// Throws IoError or NotFoundError, as all below.
  CheckpointWriter(const RunFolder& run, int64_t step, int64_t world_size = 1);
  /// Not committed: removes what was written.
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// Where the files are until commit().
  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return temporary_; }

  /// Straight from the weights' memory; no copy is made. Throws NumericError when one is not
  /// finite.
  void write_model(const Gpt& model);
  void write_rank(const CheckpointRank& rank);
  /// Writes state.json and the manifest, and gives the checkpoint its name; one of the same step
  /// is replaced. Returns its folder.
  ///   state   an object, for Checkpoint::state(): whatever the loop must remember. Texts that are
  ///           not UTF-8 are mended. Numbers come back to the bit; they must be finite, which JSON
  ///           has no words for. The keys "step", "world_size", "model" and "version" are ours.
  std::filesystem::path commit(const nlohmann::ordered_json& state);

 private:
  template <typename F>
  void guarded(F&& f) const;
  void give_name() const;

  const std::filesystem::path run_;
  std::filesystem::path final_, temporary_;
  CheckpointManifest manifest_;
  std::string model_config_;
};

/// The files of one process, into the folder that rank 0 has. Returns their digests by name.
std::map<std::string, FileDigest, std::less<>> write_checkpoint_rank(
    const std::filesystem::path& folder, const CheckpointRank& rank);

/// All of it, by a single process: see CheckpointWriter. The backend may still be working.
std::filesystem::path save_checkpoint(const RunFolder& run, int64_t step, const Gpt& model,
                                      const VisitState& optimizer,
                                      const nlohmann::ordered_json& state,
                                      std::span<const NamedTensor> loader = {});

/// How much of a checkpoint is read when it is opened.
enum class CheckpointUse : uint8_t {
  kState,  ///< state.json is verified; of other files, that they are there; the weights when loaded
  kModel,  ///< the weights and state.json are verified; of other files, that they are there
  kResume,  ///< every byte of every file is verified
};

/// A complete checkpoint, verified. Its files stay readable while the object lives, even when the
/// checkpoint is pruned meanwhile. Threads may share a const Checkpoint.
class Checkpoint {
 public:
  /// `folder` is <run>/step_<n>, or a copy of it under a name of another kind.
  /// Throws NotFoundError when there is no checkpoint, DataError naming the file that is damaged,
  /// cut short, missing or not the checkpoint's, IoError.
  explicit Checkpoint(std::filesystem::path folder, CheckpointUse use = CheckpointUse::kResume);

  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }
  [[nodiscard]] int64_t step() const noexcept { return manifest_.step; }
  /// The processes that wrote it.
  [[nodiscard]] int64_t world_size() const noexcept { return manifest_.world_size; }
  /// As CheckpointWriter::commit got it, and our keys.
  [[nodiscard]] const nlohmann::ordered_json& state() const noexcept { return state_; }
  [[nodiscard]] const GptConfig& config() const noexcept { return config_; }
  [[nodiscard]] bool has_optimizer() const;

  /// Throws DataError when the model's configuration is another, saying how they differ.
  void load_model(Gpt& model) const;
  /// The same for a model with packed weights: those that lie packed beside the checkpoint's files
  /// are mapped; where there are none (or damaged ones) they are packed and written, if that can
  /// be.
  void load_packed_model(Gpt& model) const;
  /// Puts back everything that visit_state shows, and throws DataError, with nothing changed, when
  /// the file holds more, less or other shapes than it shows, or when the checkpoint is of another
  /// number of processes.
  void load_optimizer(Backend& backend, const VisitState& optimizer, int64_t rank = 0,
                      int64_t world_size = 1) const;
  /// Copies, in the order of the names; none when none were saved. Throws as load_optimizer.
  [[nodiscard]] std::vector<NamedTensor> loader_tensors(int64_t rank = 0,
                                                        int64_t world_size = 1) const;

 private:
  [[nodiscard]] std::string path_of(std::string_view name) const;
  void verify(const std::vector<std::string>& names) const;
  [[nodiscard]] SafetensorsFile open(const std::string& name) const;
  void check_config(const Gpt& model) const;
  void check_world_size(int64_t rank, int64_t world_size) const;

  std::filesystem::path folder_;
  CheckpointManifest manifest_;
  nlohmann::ordered_json state_;
  GptConfig config_;
  std::map<std::string, StoragePtr, std::less<>> verified_;
};

}  // namespace nanochat
