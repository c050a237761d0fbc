#include "data/catalogue.h"

#include <algorithm>
#include <charconv>

#include <nlohmann/json.hpp>

#include "core/error.h"

namespace nanochat {
namespace {

constexpr std::string_view kHub = "https://huggingface.co";
constexpr int64_t kMega = 1'000'000;

std::vector<Dataset> make_catalogue() {
  return {
      {.name = "fineweb-edu-100b",
       .what = "educational web pages in English, 100B tokens (FineWeb-Edu), shuffled",
       .licence = "ODC-By 1.0",
       .kind = DatasetKind::kShards,
       .base_url = "https://huggingface.co/datasets/karpathy/fineweb-edu-100b-shuffle/resolve/main",
       .n_shards = 1823,
       .approximate_bytes = 1823 * 100 * kMega},
      {.name = "climbmix-400b",
       .what = "web pages and more in English, 400B tokens (Nemotron-ClimbMix), shuffled",
       .licence = "CC BY-NC 4.0",
       .kind = DatasetKind::kShards,
       .base_url = "https://huggingface.co/datasets/karpathy/climbmix-400b-shuffle/resolve/main",
       .n_shards = 6543,
       .pins_last_shard = true,
       .approximate_bytes = 6543 * 88 * kMega},
      {.name = "core-eval-bundle",
       .what = "the 22 tasks of the CORE metric (DCLM), as one zip file",
       .licence = "that of each task",
       .base_url = "https://karpathy-public.s3.us-west-2.amazonaws.com",
       .files = {"eval_bundle.zip"},
       .approximate_bytes = 162 * kMega},
      {.name = "arc",
       .what = "science questions of school exams, easy and challenge",
       .licence = "CC BY-SA 4.0",
       .kind = DatasetKind::kHub,
       .base_url = "https://huggingface.co/api/datasets/allenai/ai2_arc/parquet",
       .files = {"ARC-Easy/train", "ARC-Easy/validation", "ARC-Easy/test", "ARC-Challenge/train",
                 "ARC-Challenge/validation", "ARC-Challenge/test"},
       .approximate_bytes = 1 * kMega},
      {.name = "mmlu",
       .what = "multiple-choice questions on 57 subjects, and more for training",
       .licence = "MIT",
       .kind = DatasetKind::kHub,
       .base_url = "https://huggingface.co/api/datasets/cais/mmlu/parquet",
       .files = {"all/auxiliary_train", "all/validation", "all/dev", "all/test"},
       .approximate_bytes = 52 * kMega},
      {.name = "gsm8k",
       .what = "grade school mathematics in words, with worked answers",
       .licence = "MIT",
       .kind = DatasetKind::kHub,
       .base_url = "https://huggingface.co/api/datasets/openai/gsm8k/parquet",
       .files = {"main/train", "main/test"},
       .approximate_bytes = 3 * kMega},
      {.name = "humaneval",
       .what = "164 Python functions to write, with tests",
       .licence = "MIT",
       .kind = DatasetKind::kHub,
       .base_url = "https://huggingface.co/api/datasets/openai/openai_humaneval/parquet",
       .files = {"openai_humaneval/test"},
       .approximate_bytes = 100'000},
      {.name = "smol-smoltalk",
       .what = "conversations for small models, about 460 thousand",
       .licence = "Apache 2.0",
       .kind = DatasetKind::kHub,
       .base_url = "https://huggingface.co/api/datasets/HuggingFaceTB/smol-smoltalk/parquet",
       .files = {"default/train", "default/test"}},
      {.name = "words",
       .what = "370 thousand English words, for the spelling tasks",
       .licence = "Unlicense",
       .base_url = "https://raw.githubusercontent.com/dwyl/english-words/refs/heads/master",
       .files = {"words_alpha.txt"},
       .approximate_bytes = 4 * kMega},
      {.name = "identity",
       .what = "a thousand conversations about who nanochat is",
       .licence = "not stated",
       .base_url = "https://karpathy-public.s3.us-west-2.amazonaws.com",
       .files = {"identity_conversations.jsonl"},
       .approximate_bytes = 2'300'000},
  };
}

/// The last part of an address, if it is "<number>.parquet"; else throws.
std::string listed_name(const std::string& list_url, const nlohmann::json& entry) {
  if (entry.is_string()) {
    const auto& address = entry.get_ref<const std::string&>();
    const std::string name = address.substr(address.rfind('/') + 1);
    int number = -1;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc() && number >= 0 && std::string_view(end) == ".parquet") return name;
  }
  throw DataError("{}: lists {}, which is no parquet file of a split: check the address", list_url,
                  entry.dump());
}

/// The names of a split's files: "0.parquet", ...
std::vector<std::string> listed_names(const std::string& list_url, const std::string& text) {
  const auto list = nlohmann::json::parse(text, nullptr, false);
  if (!list.is_array() || list.empty()) {
    throw DataError("{}: not a list of files, as the Hugging Face hub gives it: check the address",
                    list_url);
  }
  std::vector<std::string> names;
  for (const auto& entry : list) names.push_back(listed_name(list_url, entry));
  return names;
}

std::string without_slash(std::string_view url) {
  while (url.ends_with('/')) url.remove_suffix(1);
  return std::string(url);
}

}  // namespace

std::span<const Dataset> catalogue() {
  static const std::vector<Dataset> datasets = make_catalogue();
  return datasets;
}

const Dataset& find_dataset(std::string_view name) {
  std::string names;
  for (const Dataset& dataset : catalogue()) {
    if (dataset.name == name) return dataset;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", dataset.name);
  }
  throw NotFoundError("no data set '{}' is known: there are {} (nanochat data list says more)",
                      name, names);
}

std::string dataset_url(const Dataset& dataset, std::string_view base_url, std::string_view hub) {
  if (!base_url.empty()) return without_slash(base_url);
  if (hub.empty() || !dataset.base_url.starts_with(kHub)) return std::string(dataset.base_url);
  return without_slash(hub) + std::string(dataset.base_url.substr(kHub.size()));
}

std::string shard_name(int64_t index) { return fmt::format("shard_{:05}.parquet", index); }

std::vector<int64_t> shard_indices(const Dataset& dataset, int64_t n) {
  const int64_t last = dataset.n_shards - 1;
  const int64_t most = dataset.pins_last_shard ? last : dataset.n_shards;
  if (n < -1 || n == 0 || n > most) {
    throw UsageError("{} has shards to fetch from 1 to {}, not {}; -1 means all of them",
                     dataset.name, most, n);
  }
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < (n == -1 ? most : n); ++i) indices.push_back(i);
  if (dataset.pins_last_shard) indices.push_back(last);
  return indices;
}

std::vector<Download> dataset_downloads(
    const Dataset& dataset, const std::string& url, const std::filesystem::path& folder, int64_t n,
    const std::function<std::string(const std::string&)>& fetch_list) {
  std::vector<Download> downloads;
  switch (dataset.kind) {
    case DatasetKind::kShards:
      for (const int64_t i : shard_indices(dataset, n)) {
        const std::string name = shard_name(i);
        downloads.push_back({.url = url + "/" + name, .path = folder / name});
      }
      break;
    case DatasetKind::kFiles:
      for (const std::string_view name : dataset.files) {
        downloads.push_back({.url = fmt::format("{}/{}", url, name), .path = folder / name});
      }
      break;
    case DatasetKind::kHub:
      for (const std::string_view split : dataset.files) {
        const std::string list_url = fmt::format("{}/{}", url, split);
        const std::string list = fetch_list(list_url);
        for (int64_t i = 0; const std::string& name : listed_names(list_url, list)) {
          downloads.push_back({.url = list_url + "/" + name,
                               .path = folder / split / fmt::format("{:05}.parquet", i++)});
        }
      }
      break;
  }
  return downloads;
}

}  // namespace nanochat
