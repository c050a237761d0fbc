/// Any bytes of a metrics.jsonl make an answer that is JSON, and reading on comes to their end.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "serve/runs_api.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const bool is_end : {false, true}) {
    const auto answer =
        nlohmann::json::parse(nanochat::serve::metrics_answer(bytes, 100, false, is_end));
    const int64_t offset = answer.at("offset");
    NC_CHECK(offset >= 100 && offset <= 100 + static_cast<int64_t>(size));
    NC_CHECK(is_end || size == 0 || offset > 100);
    for (const auto& line : answer.at("lines")) NC_CHECK(line.is_object());
  }
  return 0;
}
