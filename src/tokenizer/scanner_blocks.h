/// How many characters of a common kind begin a block of text, found with no branch per character:
/// the lengths of words and clauses are what a processor cannot predict.
///
/// Two structs with the same functions, each with its block of kBytes: Words reads eight bytes as
/// one integer on any processor, Sse2 sixteen on x86-64, where every processor has it. Blocks is
/// the better one.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace nanochat::scanner {

static_assert(std::endian::native == std::endian::little, "bytes are read as integers");

struct Words {
  static constexpr size_t kBytes = 8;

  /// The bytes before the first that is none of A-Z and a-z.
  static size_t ascii_letters(const char* block) noexcept {
    constexpr uint64_t kOnes = 0x0101010101010101;
    uint64_t bytes;
    std::memcpy(&bytes, block, kBytes);
    const uint64_t lower = (bytes | 0x20 * kOnes) & 0x7F * kOnes;  // no sum carries out of its byte
    const uint64_t from_a = lower + (0x80 - 'a') * kOnes;
    const uint64_t above_z = lower + (0x7F - 'z') * kOnes;
    const uint64_t others = (~from_a | above_z | bytes) & 0x80 * kOnes;
    return static_cast<size_t>(std::countr_zero(others)) / 8;
  }

  /// The bytes before the first character out of U+4E00..U+9FFF, which are all letters: nearly all
  /// that Chinese is written in. Sees whole characters only, so at most 6.
  static size_t ideographs(const char* block) noexcept {
    uint64_t bytes;
    std::memcpy(&bytes, block, kBytes);
    const size_t first = is_ideograph(bytes) ? 3 : 0;
    const size_t second = is_ideograph(bytes >> 24) ? first : 0;
    return first + second;
  }

 private:
  static bool is_ideograph(uint64_t bytes) noexcept {
    const uint64_t cp = (bytes & 0x0F) << 12 | (bytes >> 2 & 0x0FC0) | (bytes >> 16 & 0x3F);
    return (bytes & 0xC0C0F0) == 0x8080E0 && cp - 0x4E00 <= 0x9FFF - 0x4E00;
  }
};

#ifdef __SSE2__
struct Sse2 {
  static constexpr size_t kBytes = 16;

  /// As Words::ascii_letters.
  static size_t ascii_letters(const char* block) noexcept {
    const __m128i lower = _mm_or_si128(load(block), _mm_set1_epi8(0x20));
    // Of signed bytes, those from 80 on are below all others, so below 'a'.
    const __m128i letters =
        _mm_and_si128(_mm_cmpgt_epi8(lower, byte('a' - 1)), _mm_cmplt_epi8(lower, byte('z' + 1)));
    return static_cast<size_t>(std::countr_one(mask(letters)));
  }

  /// As Words::ideographs, at most 15. E4 B8 80 to E9 BF BF: the lead is E5..E9 and all that may
  /// follow it does, or the lead is E4 and the second byte B8..BF.
  static size_t ideographs(const char* block) noexcept {
    const __m128i bytes = load(block);
    const __m128i continues = _mm_cmplt_epi8(bytes, byte(0xC0));  // 80..BF
    const __m128i from_b8 = _mm_and_si128(continues, _mm_cmpgt_epi8(bytes, byte(0xB7)));
    const __m128i e5_to_e9 = _mm_and_si128(_mm_cmpgt_epi8(bytes, byte(0xE4)),  //
                                           _mm_cmplt_epi8(bytes, byte(0xEA)));
    const __m128i is_e4 = _mm_cmpeq_epi8(bytes, byte(0xE4));
    // One bit for each byte; 15 bytes are five characters, lead by lead.
    constexpr uint32_t kLeads = 0b001001001001001, kFollowers = kLeads << 1 | kLeads << 2;
    const uint32_t leads = mask(e5_to_e9) | (mask(is_e4) & mask(from_b8) >> 1);
    const uint32_t good = (leads & kLeads) | (mask(continues) & kFollowers);
    return static_cast<size_t>(std::countr_one(good)) / 3 * 3;
  }

 private:
  static __m128i load(const char* block) noexcept {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(block));
  }
  static __m128i byte(int value) noexcept { return _mm_set1_epi8(static_cast<char>(value)); }
  static uint32_t mask(__m128i bytes) noexcept {
    return static_cast<uint32_t>(_mm_movemask_epi8(bytes));
  }
};
using Blocks = Sse2;
#else
using Blocks = Words;
#endif

}  // namespace nanochat::scanner
