/// The commands of nanochat tok, as the command line gave them. A tokenizer is named by what it is
/// called in the base folder, or by the path of a file or folder of any format (tokenizer_store.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/commands.h"

namespace nanochat::cli {

/// Where the text comes from that tok encode and tok inspect look at.
struct TextInput {
  std::string file = "-";  ///< "-": standard input
  bool has_text = false;   ///< --text was given, possibly empty
  std::string text;
  bool with_specials = false;  ///< special tokens' names in the text become those tokens
};

struct TokTrainOptions {
  std::vector<std::string> data;
  std::string split = "all";  ///< all; train: all files but the last, as upstream; val: the last
  std::string text_field = "text";
  std::string txt_separator;
  bool skip_bad_shards = false;
  int64_t vocab_size = 32768;         ///< the nine special tokens included
  int64_t max_chars = 2'000'000'000;  ///< stop after the document that exceeds it
  int64_t doc_cap = 10'000;           ///< characters of each document; 0: all
  std::string pattern = "nanochat";   ///< or gpt4, or a regular expression
  std::string out = "default";
};
void run_tok_train(const CommonOptions& common, const TokTrainOptions& options);

struct TokEncodeOptions {
  std::string tokenizer = "default";
  TextInput input;
  bool prepend_bos = false;
};
void run_tok_encode(const CommonOptions& common, const TokEncodeOptions& options);

struct TokDecodeOptions {
  std::string tokenizer = "default";
  std::vector<std::string> ids;  ///< numbers, or "-": standard input
};
void run_tok_decode(const CommonOptions& common, const TokDecodeOptions& options);

struct TokInspectOptions {
  std::string tokenizer = "default";
  TextInput input;
  std::string color = "auto";  ///< or always, never
};
void run_tok_inspect(const CommonOptions& common, const TokInspectOptions& options);

struct TokEvalOptions {
  std::string tokenizer = "default";
  std::vector<std::string> against;
  std::vector<std::string> data;
  std::string text_field = "text";
};
void run_tok_eval(const CommonOptions& common, const TokEvalOptions& options);

struct TokExportOptions {
  std::string tokenizer = "default";
  std::string to;  ///< a format's name
  std::string out;
};
void run_tok_export(const CommonOptions& common, const TokExportOptions& options);

struct TokImportOptions {
  std::string file;
  std::string out = "default";
  std::string pattern;                ///< of a file of ranks; empty: nanochat's
  std::vector<std::string> specials;  ///< NAME=ID, of a file of ranks; empty: upstream's nine
};
void run_tok_import(const CommonOptions& common, const TokImportOptions& options);

}  // namespace nanochat::cli
