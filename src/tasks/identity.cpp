#include "tasks/identity.h"

#include <algorithm>
#include <system_error>

#include "core/error.h"
#include "tasks/custom_json.h"
#include "tasks/texts.h"

namespace nanochat {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kOurName = "nanochat++";
constexpr std::string_view kFile = "identity_conversations.jsonl";

}  // namespace

TaskPtr make_identity(const TaskRequest& request) {
  std::vector<fs::path> places;
  for (const fs::path& folder : request.data.folders) places.push_back(folder / kFile);
  places.push_back(request.data.base_dir / kFile);
  places.push_back(request.data.base_dir / "data" / "identity" / kFile);
  for (const fs::path& path : places) {
    if (std::error_code error; fs::is_regular_file(path, error)) {
      return make_custom_json(request.name, RowTable({path}));
    }
  }
  return make_custom_json(request.name, RowTable("the program's identity conversations",
                                                 texts::identity_conversations()));
}

std::string identity_file(std::string_view name) {
  const auto is_bad = [](char c) {
    return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20;
  };
  if (name.empty() || std::ranges::any_of(name, is_bad)) {
    throw UsageError("a name of '{}' cannot be said: give one without quotes and backslashes",
                     name);
  }
  std::string text(texts::identity_conversations());
  for (size_t at = text.find(kOurName); at != std::string::npos;
       at = text.find(kOurName, at + name.size())) {
    text.replace(at, kOurName.size(), name);
  }
  return text;
}

}  // namespace nanochat
