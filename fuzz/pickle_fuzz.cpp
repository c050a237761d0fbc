/// Any bytes are upstream's tokenizer.pkl or refused.
#include "vocabulary_round_trip.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  nanochat::fuzz::check_importer(
      data, size, [](std::string_view bytes) { return nanochat::parse_pickle(bytes, "input"); });
  return 0;
}
