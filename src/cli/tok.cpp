#include "cli/tok.h"

#include <memory>
#include <string>

#include "cli/command_line.h"
#include "cli/option_types.h"

namespace nanochat::cli {
namespace {

CLI::Option* add_out(CLI::App& command, std::string& out) {
  return command
      .add_option("--out", out,
                  "a name in the base folder (<base>/tokenizer/NAME), or a folder (with a slash)")
      ->type_name("NAME|DIR")
      ->capture_default_str();
}

void add_text_input(CLI::App& command, TextInput& input) {
  auto* const file =
      command.add_option("file", input.file, "the text; - is standard input, as is no file at all")
          ->type_name("FILE|-");
  command
      .add_option_function<std::string>(
          "--text",
          [&input](const std::string& text) {
            input.has_text = true;
            input.text = text;
          },
          "this text instead of a file")
      ->type_name("TEXT")
      ->excludes(file);
  command.add_flag("--specials", input.with_specials,
                   "names of special tokens in the text, such as <|bos|>, are those tokens");
}

void add_train(CLI::App& tok, CommonOptions& common, Action& action) {
  const auto o = std::make_shared<TokTrainOptions>();
  CLI::App& train =
      add_command(tok, "train", "learn a tokenizer from text", common, action, o, run_tok_train);
  add_text_flags(train, {.data = o->data,
                         .text_field = o->text_field,
                         .txt_separator = o->txt_separator,
                         .skip_bad_shards = o->skip_bad_shards});
  train
      .add_option(
          "--split", o->split,
          "which of the files: train is all but the last, as upstream trains; val is the last")
      ->check(one_of({"all", "train", "val"}))
      ->type_name("all|train|val")
      ->capture_default_str()
      ->group("Text");
  add_count(train, "--max-chars", o->max_chars, "stop after the document that makes it more")
      ->group("Text");
  add_count(train, "--doc-cap", o->doc_cap, "characters of a document that count; 0: all of them")
      ->group("Text");
  add_count(train, "--vocab-size", o->vocab_size, "tokens in all, the 9 special ones included")
      ->group("Tokenizer");
  train
      .add_option("--pattern", o->pattern,
                  "how text is split first: nanochat, gpt4 or a regular expression (PCRE2)")
      ->type_name("PATTERN")
      ->capture_default_str()
      ->group("Tokenizer");
  add_out(train, o->out)->group("Tokenizer");
  add_common_options(train, common);
}

void add_encode(CLI::App& tok, CommonOptions& common, Action& action) {
  const auto o = std::make_shared<TokEncodeOptions>();
  CLI::App& encode = add_command(tok, "encode", "text to token ids, on one line", common, action, o,
                                 run_tok_encode);
  add_tokenizer(encode, o->tokenizer);
  add_text_input(encode, o->input);
  encode.add_flag("--bos", o->prepend_bos, "begin with the token that begins a document");
  add_common_options(encode, common);
}

void add_decode(CLI::App& tok, CommonOptions& common, Action& action) {
  const auto o = std::make_shared<TokDecodeOptions>();
  CLI::App& decode = add_command(tok, "decode", "token ids to text, byte for byte", common, action,
                                 o, run_tok_decode);
  add_tokenizer(decode, o->tokenizer);
  decode.add_option("ids", o->ids, "the ids; - is standard input, as are no ids at all")
      ->type_name("IDS|-");
  add_common_options(decode, common);
}

void add_inspect(CLI::App& tok, CommonOptions& common, Action& action) {
  const auto o = std::make_shared<TokInspectOptions>();
  CLI::App& inspect = add_command(tok, "inspect", "show how a text is cut, with the ids", common,
                                  action, o, run_tok_inspect);
  add_tokenizer(inspect, o->tokenizer);
  add_text_input(inspect, o->input);
  inspect.add_option("--color", o->color, "without colours, one token a line: id, tab, text")
      ->check(one_of({"auto", "always", "never"}))
      ->type_name("auto|always|never")
      ->capture_default_str();
  add_common_options(inspect, common);
}

void add_eval(CLI::App& tok, CommonOptions& common, Action& action) {
  const auto o = std::make_shared<TokEvalOptions>();
  CLI::App& eval = add_command(tok, "eval", "how well it compresses, also against others", common,
                               action, o, run_tok_eval);
  add_tokenizer(eval, o->tokenizer);
  eval.add_option("--against", o->against, "other tokenizers to compare with")
      ->type_name("NAME|PATH...");
  eval.add_option("--data", o->data,
                  "text of your own as well: a sample of a file, or of the first (train) and last "
                  "(val) file of a folder")
      ->type_name("PATH...");
  eval.add_option("--text-field", o->text_field, "the column or key that holds the text")
      ->type_name("NAME")
      ->capture_default_str();
  add_common_options(eval, common);
}

void add_export(CLI::App& tok, CommonOptions& common, Action& action) {
  const auto o = std::make_shared<TokExportOptions>();
  CLI::App& command = add_command(tok, "export", "write it as a file of another program", common,
                                  action, o, run_tok_export);
  add_tokenizer(command, o->tokenizer);
  command.add_option("--to", o->to, "ranks alone, tokenizer.json, or our own format")
      ->check(one_of({"tiktoken", "huggingface", "own", "nanochat"}))
      ->type_name("tiktoken|huggingface|own")
      ->required();
  command.add_option("--out", o->out, "the file to write, or the folder to write it in")
      ->type_name("FILE")
      ->required();
  add_common_options(command, common);
}

void add_import(CLI::App& tok, CommonOptions& common, Action& action) {
  const auto o = std::make_shared<TokImportOptions>();
  CLI::App& command = add_command(tok, "import", "take over a file of another program", common,
                                  action, o, run_tok_import);
  command
      .add_option("file", o->file,
                  "tokenizer.json, tokenizer.pkl, *.tiktoken or ours: it is found out which")
      ->type_name("FILE")
      ->required();
  add_out(command, o->out);
  command
      .add_option("--pattern", o->pattern,
                  "of a file of ranks: nanochat (default), gpt4 or a regular expression")
      ->type_name("PATTERN");
  command
      .add_option("--special", o->specials,
                  "of a file of ranks, its special tokens; default: upstream's nine")
      ->type_name("NAME=ID...");
  add_common_options(command, common);
}

}  // namespace

void add_tok_commands(CLI::App& app, CommonOptions& common, Action& action) {
  CLI::App& tok = *app.add_subcommand("tok", "tokenizers: train, use, compare, exchange");
  tok.require_subcommand(1);
  add_train(tok, common, action);
  add_encode(tok, common, action);
  add_decode(tok, common, action);
  add_inspect(tok, common, action);
  add_eval(tok, common, action);
  add_export(tok, common, action);
  add_import(tok, common, action);
}

}  // namespace nanochat::cli
