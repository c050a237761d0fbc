#include <memory>

#include "cli/command_line.h"
#include "cli/data_tokenize.h"
#include "cli/option_types.h"

namespace nanochat::cli {

void add_data_tokenize_command(CLI::App& data, CommonOptions& common, Action& action) {
  const auto o = std::make_shared<DataTokenizeOptions>();
  CLI::App& tokenize = add_command(data, "tokenize",
                                   "text to tokens once, in files that training maps into memory; "
                                   "files that are done already are left",
                                   common, action, o, run_data_tokenize);
  add_text_flags(tokenize, {.data = o->data,
                            .text_field = o->text_field,
                            .txt_separator = o->txt_separator,
                            .skip_bad_shards = o->skip_bad_shards});
  add_tokenizer(tokenize, o->tokenizer);
  tokenize
      .add_option("--out", o->out, "the folder for the .tok files; give it to training as --data")
      ->required()
      ->type_name("DIR");
  add_common_options(tokenize, common);
}

}  // namespace nanochat::cli
