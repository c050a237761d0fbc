/// Any bytes are a request target with a clean path, or none; and header values are only read.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"
#include "serve/http.h"
#include "serve/runs_api.h"
#include "tokenizer/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace nanochat;
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const auto target = serve::parse_target(text)) {
    NC_CHECK(target->path == "*" || target->path.starts_with('/'));
    NC_CHECK(target->path.find('\0') == std::string::npos);
    NC_CHECK(utf8::find_invalid(target->path) == target->path.size());
    static_cast<void>(serve::query_value(target->query, "from"));
    static_cast<void>(serve::is_loopback_host(serve::host_of_authority(target->authority)));
  }
  if (serve::is_plain_name(text)) {
    NC_CHECK(text.find('/') == std::string::npos && text != "." && text != "..");
  }
  static_cast<void>(serve::accepts_gzip(text));
  static_cast<void>(serve::media_type(text));
  static_cast<void>(serve::is_loopback_host(serve::host_of_authority(text)));
  return 0;
}
