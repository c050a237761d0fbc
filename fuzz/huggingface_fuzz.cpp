/// Any bytes are a tokenizer.json that we can follow exactly or refused.
#include "vocabulary_round_trip.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  nanochat::fuzz::check_importer(data, size, [](std::string_view bytes) {
    return nanochat::parse_huggingface(bytes, "input");
  });
  return 0;
}
