#include <memory>

#include "cli/command_line.h"
#include "cli/data_synth.h"
#include "cli/option_types.h"

namespace nanochat::cli {

void add_data_synth_command(CLI::App& data, CommonOptions& common, Action& action) {
  const auto o = std::make_shared<DataSynthOptions>();
  CLI::App& synth = add_command(data, "synth",
                                "make a small world to train on, without network: stories, facts, "
                                "questions, sums and spelling, in English and Chinese",
                                common, action, o, run_data_synth);
  synth.add_option("--out", o->out, "the folder (default: <base>/data/synth)")->type_name("DIR");
  add_count(synth, "--seed", o->seed, "which world: who lives where, and every text about it");
  CLI::Option* const size =
      synth.add_option("--size-mb", o->size_mb, "millions of bytes of training text")
          ->type_name("MB")
          ->capture_default_str();
  add_count(synth, "--documents", o->documents, "how many documents to train on, instead of a size")
      ->default_str("")
      ->check([](const std::string& text) -> std::string {
        return parse_count(text) == 0 ? "0 documents: give 1 or more" : "";
      })
      ->excludes(size);
  synth.add_option("--language", o->language, "of all texts")
      ->check(one_of({"en", "zh", "both"}))
      ->type_name("en|zh|both")
      ->capture_default_str();
  add_count(synth, "--conversations", o->conversations,
            "for the stages after pretraining, in chat/");
  synth.add_flag("--overwrite", o->overwrite,
                 "replace a world made with other options (a finished one of the same is left)");
  add_common_options(synth, common);
}

}  // namespace nanochat::cli
