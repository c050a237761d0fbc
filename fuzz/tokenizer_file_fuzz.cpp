/// Any bytes are a tokenizer file of ours or refused.
#include "vocabulary_round_trip.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  nanochat::fuzz::check_importer(data, size, [](std::string_view bytes) {
    return nanochat::parse_ours(bytes, "input", /*checksum=*/false);
  });
  return 0;
}
