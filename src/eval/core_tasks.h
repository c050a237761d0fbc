/// The tasks of the CORE metric (DCLM, Li et al. 2024, arXiv:2406.11794) as files: a folder with
///   core.yaml           which tasks, with how many examples before the question
///   eval_meta_data.csv  what guessing gives
///   eval_data/...       the questions, in JSON lines
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace nanochat {

enum class CoreFormat : uint8_t {
  kMultipleChoice,    ///< which of several ends of a text is likeliest
  kSchema,            ///< after which of several beginnings an end is likeliest
  kLanguageModeling,  ///< whether the model goes on exactly so
};

struct CoreTask {
  std::string label{};
  std::filesystem::path file{};
  CoreFormat format = CoreFormat::kMultipleChoice;
  int64_t num_fewshot = 0;
  std::string delimiter = " ";  ///< between a question and its answer
  double baseline = 0;          ///< accuracy of guessing, in [0, 1)
};

/// One line of a file. Of the formats, in their order:
struct CoreExample {
  std::string context{};               ///< query; (none); context
  std::vector<std::string> options{};  ///< choices; context_options; (none)
  std::string continuation{};          ///< (none); continuation; continuation
  int64_t gold = 0;                    ///< which option is right
  std::string place{};                 ///< file and line, to name it
};

/// The folder with core.yaml in it: `named`, or when that is empty, where upstream keeps it
/// (<base_dir>/eval_bundle) or `nanochat data download` puts it. A zip file that lies there instead
/// is unpacked. Throws NotFoundError, which says how to get it; and as unzip().
[[nodiscard]] std::filesystem::path find_core_bundle(const std::filesystem::path& base_dir,
                                                     const std::string& named = {});

/// The tasks of <folder>/core.yaml, in its order. Whether their files are there is not looked at.
/// Throws NotFoundError, or DataError naming file and line.
[[nodiscard]] std::vector<CoreTask> read_core_tasks(const std::filesystem::path& folder);

/// Those of the tasks with these labels, in the order of the tasks; all when no label is given.
/// Throws NotFoundError, which lists what there is.
[[nodiscard]] std::vector<CoreTask> select_core_tasks(std::vector<CoreTask> tasks,
                                                      const std::vector<std::string>& labels);

/// The examples in upstream's order: as Python's random.Random(1337) shuffles the lines of the
/// file; the first `max` of them when it is > 0. Values that are no strings are what Python's str()
/// makes of them. Throws NotFoundError, IoError, or DataError naming file and line.
[[nodiscard]] std::vector<CoreExample> read_core_examples(const CoreTask& task, int64_t max = -1);

}  // namespace nanochat
