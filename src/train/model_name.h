/// Models by name: "stage:tag@step", every part optional, or a path.
///
///   sft              the newest checkpoint of the default run of stage sft
///   base:d4          the newest checkpoint of <base dir>/runs/base/d4
///   base:d4@1200     <base dir>/runs/base/d4/step_001200
///   (nothing)        of the furthest stage that there is: rl, sft, mid, base
///   runs/mine@300    a path: of a run's folder (then @step may follow), or of a checkpoint's
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace nanochat {

/// The furthest first: where no stage is named, they are tried in this order.
inline constexpr std::array<std::string_view, 4> kStages{"rl", "sft", "mid", "base"};

struct ModelName {
  std::string stage;  ///< empty: not named
  std::string tag;    ///< likewise
  std::optional<int64_t> step;

  friend bool operator==(const ModelName&, const ModelName&) = default;
};

/// Takes a name apart. Throws UsageError when it is none. A path is no name.
[[nodiscard]] ModelName parse_model_name(std::string_view name);

/// <base dir>/runs/<stage>/<tag>. Throws UsageError for a tag that cannot be a folder's name.
[[nodiscard]] std::filesystem::path run_folder_of(const std::filesystem::path& base_dir,
                                                  std::string_view stage, std::string_view tag);

struct FoundModel {
  std::filesystem::path checkpoint;  ///< exists, and is complete
  std::filesystem::path run;         ///< the folder it is in
  int64_t step = 0;

  /// "base:d4@1200" where the run is in the base folder, else the path.
  std::string name;
};

/// The checkpoint that `name` means. With a slash in it, a path; else a model in the base folder.
/// No tag: of the runs called d<number>..., the one of the largest number, else the newest run; no
/// step: the newest checkpoint. Runs without a complete checkpoint do not count.
/// Throws UsageError, or NotFoundError which says what there is instead.
[[nodiscard]] FoundModel find_model(const std::filesystem::path& base_dir, const std::string& name);

}  // namespace nanochat
