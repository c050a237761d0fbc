#include "serve/page.h"

#include <algorithm>
#include <map>
#include <optional>

#include <zlib.h>

#include "core/error.h"
#include "core/xxh3.h"

namespace nanochat::serve {
namespace {

std::string_view content_type_of(std::string_view path) {
  if (path.ends_with(".html")) return "text/html; charset=utf-8";
  if (path.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (path.ends_with(".css")) return "text/css; charset=utf-8";
  if (path.ends_with(".svg")) return "image/svg+xml";
  if (path.ends_with(".woff2")) return "font/woff2";
  return "text/plain; charset=utf-8";
}

std::string gzipped(std::string_view bytes) {
  z_stream stream{};
  constexpr int kGzip = 16 + 15;
  NC_CHECK(deflateInit2(&stream, 6, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  // zlib's interface is older than const.
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  NC_CHECK(result == Z_STREAM_END);
  return out;
}

/// Whether If-None-Match (a list, or *) names the tag; a weak one counts (RFC 9110, 13.1.2).
bool names_tag(std::string_view header, std::string_view tag) {
  if (header == "*") return true;
  while (!header.empty()) {
    std::string_view item = header.substr(0, header.find(','));
    header.remove_prefix(std::min(item.size() + 1, header.size()));
    item.remove_prefix(std::min(item.find_first_not_of(" \t"), item.size()));
    item = item.substr(0, item.find_last_not_of(" \t") + 1);
    if (item.starts_with("W/")) item.remove_prefix(2);
    if (item == tag) return true;
  }
  return false;
}

}  // namespace

struct Page::Entry {
  std::string_view bytes;
  std::string_view content_type;
  std::string tag;  // without quotes
  std::optional<std::string> gzip{};
};

struct Page::Impl {
  std::map<std::string, Entry, std::less<>> files;
  std::string policy;
};

Page::Page() : impl_(std::make_unique<Impl>()) {
  for (const PageFile& file : page_files()) {
    impl_->files.emplace(std::string("/").append(file.path),
                         Entry{.bytes = file.bytes,
                               .content_type = content_type_of(file.path),
                               .tag = to_hex(xxh3_of(file.bytes))});
    if (file.path == "csp.txt") impl_->policy = file.bytes.substr(0, file.bytes.find('\n'));
  }
  NC_CHECK(!impl_->policy.empty(), "ui/csp.txt is not among the files of the page");
  const auto index = impl_->files.find("/index.html");
  NC_CHECK(index != impl_->files.end());
  impl_->files.emplace("/", index->second);
}

Page::~Page() = default;

bool Page::has(std::string_view path) const { return impl_->files.contains(path); }

HttpResponse Page::response(const HttpRequest& request) {
  Entry& file = impl_->files.find(request.path)->second;
  // Fonts are compressed already.
  const bool can_shrink =
      file.content_type.starts_with("text/") || file.content_type == "image/svg+xml";
  const bool as_gzip = can_shrink && accepts_gzip(request.header("Accept-Encoding"));
  if (as_gzip && !file.gzip) file.gzip = gzipped(file.bytes);

  HttpResponse response{.content_type = std::string(file.content_type)};
  const std::string tag = "\"" + file.tag + (as_gzip ? "-gz\"" : "\"");
  response.headers = {
      {"Content-Security-Policy", impl_->policy}, {"Cache-Control", "no-cache"}, {"ETag", tag}};
  if (can_shrink) response.headers.emplace_back("Vary", "Accept-Encoding");
  if (names_tag(request.header("If-None-Match"), tag)) {
    response.status = 304;
    return response;
  }
  if (as_gzip) response.headers.emplace_back("Content-Encoding", "gzip");
  response.fixed_body = as_gzip ? std::string_view(*file.gzip) : file.bytes;
  return response;
}

}  // namespace nanochat::serve
