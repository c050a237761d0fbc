/// The page: ui/ and what ui/vendor.txt names, which are part of the program.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "serve/http.h"

namespace nanochat::serve {

struct PageFile {
  std::string_view path;  ///< "vendor/marked.js"
  std::string_view bytes;
};
/// All of them, in the order of their paths. The table is made by CMake (nanochat_embed_page).
[[nodiscard]] std::span<const PageFile> page_files();

/// docs/api.md, "Files". Not thread-safe: what is compressed is kept.
class Page {
 public:
  Page();
  ~Page();
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;

  /// Whether there is a file for this path: "/", "/app.js".
  [[nodiscard]] bool has(std::string_view path) const;
  /// 200 with the file, as gzip where the client takes that and it is shorter, or 304.
  [[nodiscard]] HttpResponse response(const HttpRequest& request);

 private:
  struct Entry;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nanochat::serve
