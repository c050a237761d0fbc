/// Who and what there is in the small world, and which facts hold of it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/synth/language.h"

namespace nanochat::synth {

enum class EntityKind : uint8_t {
  kChild,
  kAdult,
  kTown,
  kAnimal,
  kFood,
  kThing,
  kJob,
  kPlace,
  kValue,  ///< what a fact may say and nothing is said about: a colour, an age, a month
};
inline constexpr int kEntityKinds = 9;

enum class Gender : uint8_t { kMale, kFemale, kNone };

/// What can be said of a subject; one object each. relations.cpp has the sentences.
enum class RelationId : uint8_t {
  kTown,
  kAge,
  kColour,
  kFood,
  kFriend,
  kHobby,
  kPet,
  kPetName,
  kDream,
  kMother,
  kJob,
  kTravel,
  kLandscape,
  kPride,
  kFestival,
  kMarket,
  kEats,
  kHome,
  kLegs,
  kSound,
  kFoodColour,
  kTaste,
  kMaterial,
  kUse,
};
inline constexpr int kRelations = 24;

struct Entity {
  EntityKind kind = EntityKind::kValue;
  Gender gender = Gender::kNone;
  bool is_plural = false;  ///< English: "apples are", "bread is"
  // English: apples / an apple / apples; what is not counted has only the name. `at`: of a place.
  std::string en, an, plural, at;
  std::string en_capital, an_capital, plural_capital;
  // Chinese: the name, the measure word, and where one is at a place.
  std::string zh, measure, zh_at;
  std::array<int, kRelations> objects{};  ///< index of the object; -1: nothing is said

  [[nodiscard]] const std::string& name(Language language) const noexcept {
    return language == Language::kEnglish ? en : zh;
  }
};

/// One fact: subject, relation, object.
struct Fact {
  int subject;
  RelationId relation;
  int object;
};

class World {
 public:
  explicit World(uint64_t seed);

  [[nodiscard]] uint64_t seed() const noexcept { return seed_; }
  [[nodiscard]] std::span<const Entity> entities() const noexcept { return entities_; }
  [[nodiscard]] const Entity& operator[](int index) const noexcept {
    return entities_[static_cast<size_t>(index)];
  }
  [[nodiscard]] std::span<const int> of_kind(EntityKind kind) const noexcept {
    return kinds_[static_cast<size_t>(kind)];
  }
  /// What stories choose from.
  [[nodiscard]] std::span<const int> met_animals() const noexcept { return met_animals_; }
  [[nodiscard]] std::span<const int> fed_animals() const noexcept { return fed_animals_; }
  [[nodiscard]] std::span<const int> snacks() const noexcept { return snacks_; }
  [[nodiscard]] std::span<const int> toys() const noexcept { return toys_; }
  [[nodiscard]] std::span<const int> fragile_things() const noexcept { return fragile_things_; }
  /// -1 where nothing is said.
  [[nodiscard]] int object(int subject, RelationId relation) const noexcept {
    return (*this)[subject].objects[static_cast<size_t>(relation)];
  }
  /// All of them, by subject.
  [[nodiscard]] std::span<const Fact> facts() const noexcept { return facts_; }

 private:
  struct Builder;

  uint64_t seed_;
  std::vector<Entity> entities_;
  std::array<std::vector<int>, kEntityKinds> kinds_;
  std::vector<int> pets_, met_animals_, fed_animals_, snacks_, toys_, fragile_things_;
  std::vector<Fact> facts_;
};

}  // namespace nanochat::synth
