/// The word lists of the small world, English and Chinese side by side. What is said with them is
/// elsewhere (relations.cpp, stories_*.cpp, problems.cpp); what is drawn for whom, in world.cpp.
///
/// A name or noun that begins a question must not be the end of another one (a Chinese "cat" is
/// the end of "big bear cat"): a held-out question would stand inside another question. So a few
/// Chinese nouns have a longer form than the dictionary's.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace nanochat::synth {

/// A name, or anything that needs no article in English and no measure word in Chinese.
struct NameRow {
  std::string_view en, zh;
};

/// A noun that can be counted: "an apple", "apples", and the Chinese measure word of "one apple".
struct NounRow {
  std::string_view en, an, plural, zh, measure;
};

/// Somewhere to go: "the park" is where one goes to, "in the park" where one is.
struct PlaceRow {
  std::string_view en, at, zh, zh_at;
};

/// Whether an animal may run through a story: met on a walk, and fed with what people have.
enum class Meeting : uint8_t { kFar, kMet, kFed };

struct AnimalRow {
  NounRow noun;
  NameRow eats, home;
  NameRow sound;  ///< empty: none that people write down
  int legs;       ///< 0: nothing is said of its legs
  bool is_pet;
  Meeting meeting;
};

/// A food by its name as a mass or in the plural.
struct FoodRow {
  std::string_view en, zh;
  bool is_plural;
  NameRow colour, taste;
  bool is_snack;  ///< fits into a child's bag
};

enum class ThingSort : uint8_t {
  kTool,
  kToy,      ///< what a child may play with, or carry about
  kFragile,  ///< breaks when it falls
};

struct ThingRow {
  NounRow noun;
  NameRow material, use;
  ThingSort sort;
};

[[nodiscard]] std::span<const NameRow> girl_names();
[[nodiscard]] std::span<const NameRow> boy_names();
[[nodiscard]] std::span<const NameRow> woman_names();
[[nodiscard]] std::span<const NameRow> man_names();
[[nodiscard]] std::span<const NameRow> pet_names();
[[nodiscard]] std::span<const NameRow> town_names();

[[nodiscard]] std::span<const AnimalRow> animal_rows();
[[nodiscard]] std::span<const FoodRow> food_rows();
[[nodiscard]] std::span<const ThingRow> thing_rows();

[[nodiscard]] std::span<const NounRow> jobs();
[[nodiscard]] std::span<const NameRow> colours();
[[nodiscard]] std::span<const NameRow> hobbies();
[[nodiscard]] std::span<const NameRow> ways_to_travel();
[[nodiscard]] std::span<const NameRow> landscapes();
[[nodiscard]] std::span<const NameRow> town_prides();
[[nodiscard]] std::span<const NameRow> months();
[[nodiscard]] std::span<const NameRow> weekdays();
[[nodiscard]] std::span<const PlaceRow> places();

/// English words of daily life to spell, beside the nouns of the world.
[[nodiscard]] std::span<const std::string_view> spelling_words();
/// Chinese words of two to four characters.
[[nodiscard]] std::span<const std::string_view> chinese_words();
/// Single Chinese characters to build rows from.
[[nodiscard]] std::span<const std::string_view> chinese_characters();

}  // namespace nanochat::synth
