#include <memory>
#include <string>

#include "cli/command_line.h"
#include "cli/data_convert.h"
#include "cli/option_types.h"

namespace nanochat::cli {

void add_data_convert_command(CLI::App& data, CommonOptions& common, Action& action) {
  const auto o = std::make_shared<DataConvertOptions>();
  CLI::App& convert =
      add_command(data, "convert", "make parquet shards of text files, shuffled, as upstream's are",
                  common, action, o, run_data_convert);
  add_text_flags(convert, {.data = o->data,
                           .text_field = o->text_field,
                           .txt_separator = o->txt_separator,
                           .skip_bad_shards = o->skip_bad_shards});
  convert.add_option("--out", o->out, "the folder to write; it must hold no documents yet")
      ->required()
      ->type_name("DIR")
      ->group("Shards");
  convert.add_option("--seed", o->seed, "of the order of the documents")
      ->check(CLI::NonNegativeNumber.description(""))
      ->type_name("N")
      ->capture_default_str()
      ->group("Shards");
  convert.add_flag("--no-shuffle", o->no_shuffle, "keep the documents in their order")
      ->group("Shards");
  add_count(convert, "--shard-chars", o->shard_chars,
            "a shard ends where it has these characters and its row groups are full")
      ->group("Shards");
  add_count(convert, "--row-group", o->row_group, "documents of a row group")->group("Shards");
  add_count(convert, "--memory", o->memory_bytes,
            "bytes of documents to hold for shuffling; what is more goes into temporary files in "
            "DIR, and the result is the same")
      ->group("Shards");
  add_common_options(convert, common);
}

}  // namespace nanochat::cli
