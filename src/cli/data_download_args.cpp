#include <memory>

#include "cli/command_line.h"
#include "cli/data_download.h"
#include "cli/option_types.h"

namespace nanochat::cli {

void add_data_download_commands(CLI::App& data, CommonOptions& common, Action& action) {
  CLI::App& list = add_command(data, "list", "the data sets that download knows", common, action,
                               std::make_shared<DataListOptions>(), run_data_list);
  add_common_options(list, common);

  const auto o = std::make_shared<DataDownloadOptions>();
  CLI::App& download = add_command(data, "download",
                                   "fetch a data set; what is there already is left, what was "
                                   "begun is gone on with",
                                   common, action, o, run_data_download);
  download.add_option("name", o->name, "one of those that nanochat data list shows")
      ->type_name("NAME")
      ->required();
  add_count(download, "-n,--num-shards", o->n_shards,
            "how many shards of a corpus, from the first; -1: all (climbmix-400b's last shard is "
            "always fetched too, for validation)",
            true)
      ->default_str("");
  download
      .add_option("--base-url", o->base_url,
                  "fetch URL/<file> instead, from a mirror; another Hugging Face hub for all of "
                  "them can be named in $HF_ENDPOINT")
      ->type_name("URL");
  download.add_option("--out", o->out, "the folder (default: <base>/data/NAME)")->type_name("DIR");
  download.add_option("--jobs", o->jobs, "files at a time")
      ->check(CLI::Range(1, 64).description(""))
      ->type_name("N")
      ->capture_default_str();
  add_common_options(download, common);
}

}  // namespace nanochat::cli
