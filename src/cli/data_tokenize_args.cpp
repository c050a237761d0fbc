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
  tokenize
      .add_option("--data", o->data,
                  "a file, folder or glob of .parquet, .jsonl or .txt (the last two also .gz or "
                  ".zst); more than one may be given")
      ->required()
      ->type_name("PATH...");
  tokenize
      .add_option("--tokenizer", o->tokenizer,
                  "a name in the base folder, or a file or folder of any format")
      ->type_name("NAME|PATH")
      ->capture_default_str();
  tokenize
      .add_option("--out", o->out, "the folder for the .tok files; give it to training as --data")
      ->required()
      ->type_name("DIR");
  tokenize.add_option("--text-field", o->text_field, "the column or key that holds the text")
      ->type_name("NAME")
      ->capture_default_str();
  tokenize
      .add_option_function<std::string>(
          "--txt-separator", [o](const std::string& text) { o->txt_separator = unescaped(text); },
          "what separates the documents of a .txt file, such as '\\n\\n\\n'; without it a file is "
          "one document")
      ->type_name("TEXT");
  tokenize.add_flag("--skip-bad-shards", o->skip_bad_shards,
                    "leave out files that cannot be read, and go on");
  add_common_options(tokenize, common);
}

}  // namespace nanochat::cli
