#include "tokenizer/splitter.h"

#include "tokenizer/pcre2_splitter.h"

namespace nanochat {

Splitter::Splitter(std::string_view pattern)
    : pattern_(pattern),
      kind_(pattern == kNanochatPattern ? Kind::kTwoDigits
            : pattern == kGpt4Pattern   ? Kind::kThreeDigits
                                        : Kind::kPcre2),
      pcre2_(is_scanner() ? nullptr : std::make_unique<Pcre2Splitter>(pattern)) {}

Splitter::~Splitter() = default;
Splitter::Splitter(Splitter&&) noexcept = default;
Splitter& Splitter::operator=(Splitter&&) noexcept = default;

void Splitter::split(std::string_view text, std::vector<size_t>& ends) const {
  if (pcre2_) {
    pcre2_->split(text, ends);
    return;
  }
  ends.clear();
  for_each_chunk(text, [&, end = size_t{0}](std::string_view chunk) mutable {
    ends.push_back(end += chunk.size());
  });
}

}  // namespace nanochat
