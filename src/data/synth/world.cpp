#include "data/synth/world.h"

#include <cctype>
#include <map>
#include <utility>

#include "core/error.h"
#include "data/synth/dice.h"
#include "data/synth/words.h"

namespace nanochat::synth {
namespace {

std::string capitalized(std::string_view text) {
  std::string result(text);
  if (!result.empty() && result[0] >= 'a' && result[0] <= 'z') {
    result[0] = static_cast<char>(result[0] - 'a' + 'A');
  }
  return result;
}

}  // namespace

struct World::Builder {
  World& world;
  Dice dice;
  std::map<std::string_view, int> values;  // by English name

  int add(Entity entity) {
    entity.objects.fill(-1);
    entity.en_capital = capitalized(entity.en);
    entity.an_capital = capitalized(entity.an);
    entity.plural_capital = capitalized(entity.plural);
    const int index = static_cast<int>(world.entities_.size());
    world.kinds_[static_cast<size_t>(entity.kind)].push_back(index);
    world.entities_.push_back(std::move(entity));
    return index;
  }

  int add_name(EntityKind kind, const NameRow& row, Gender gender = Gender::kNone) {
    Entity entity;
    entity.kind = kind;
    entity.gender = gender;
    entity.en = row.en;
    entity.zh = row.zh;
    return add(std::move(entity));
  }

  static Entity noun(EntityKind kind, const NounRow& row) {
    Entity entity;
    entity.kind = kind;
    entity.en = row.en;
    entity.an = row.an;
    entity.plural = row.plural;
    entity.zh = row.zh;
    entity.measure = row.measure;
    return entity;
  }

  int value(const NameRow& row) {
    const auto [at, is_new] = values.try_emplace(row.en, 0);
    if (is_new) at->second = add_name(EntityKind::kValue, row);
    // One English name with two Chinese ones (honey that a bear eats and honey on the table) would
    // be two values.
    NC_CHECK(world[at->second].zh == row.zh, "'{}' is both {} and {}", row.en, world[at->second].zh,
             row.zh);
    return at->second;
  }

  int age(int64_t years) {
    const std::string digits = std::to_string(years);
    for (const int index : world.of_kind(EntityKind::kValue)) {
      if (world[index].en == digits) return index;
    }
    Entity entity;
    entity.en = entity.zh = digits;
    return add(std::move(entity));
  }

  void say(int subject, RelationId relation, int object) {
    world.entities_[static_cast<size_t>(subject)].objects[static_cast<size_t>(relation)] = object;
  }

  void add_animals() {
    constexpr NameRow kLegs[] = {{"two", "两"}, {"four", "四"}, {"six", "六"}, {"eight", "八"}};
    for (const AnimalRow& row : animal_rows()) {
      const int animal = add(noun(EntityKind::kAnimal, row.noun));
      if (row.is_pet) world.pets_.push_back(animal);
      if (row.meeting != Meeting::kFar) world.met_animals_.push_back(animal);
      if (row.meeting == Meeting::kFed) world.fed_animals_.push_back(animal);
      say(animal, RelationId::kEats, value(row.eats));
      say(animal, RelationId::kHome, value(row.home));
      if (!row.sound.en.empty()) say(animal, RelationId::kSound, value(row.sound));
      if (row.legs > 0) say(animal, RelationId::kLegs, value(kLegs[row.legs / 2 - 1]));
    }
  }

  void add_foods_and_things() {
    for (const FoodRow& row : food_rows()) {
      Entity entity;
      entity.kind = EntityKind::kFood;
      entity.en = row.en;
      entity.zh = row.zh;
      entity.is_plural = row.is_plural;
      const int food = add(std::move(entity));
      if (row.is_snack) world.snacks_.push_back(food);
      say(food, RelationId::kFoodColour, value(row.colour));
      say(food, RelationId::kTaste, value(row.taste));
    }
    for (const ThingRow& row : thing_rows()) {
      const int thing = add(noun(EntityKind::kThing, row.noun));
      if (row.sort == ThingSort::kToy) world.toys_.push_back(thing);
      if (row.sort == ThingSort::kFragile) world.fragile_things_.push_back(thing);
      say(thing, RelationId::kMaterial, value(row.material));
      say(thing, RelationId::kUse, value(row.use));
    }
    for (const NounRow& row : jobs()) add(noun(EntityKind::kJob, row));
    for (const PlaceRow& row : places()) {
      Entity entity;
      entity.kind = EntityKind::kPlace;
      entity.en = row.en;
      entity.at = row.at;
      entity.zh = row.zh;
      entity.zh_at = row.zh_at;
      add(std::move(entity));
    }
  }

  void add_towns() {
    for (const NameRow& row : town_names()) {
      const int town = add_name(EntityKind::kTown, row);
      say(town, RelationId::kLandscape, value(dice.pick(landscapes())));
      say(town, RelationId::kPride, value(dice.pick(town_prides())));
      say(town, RelationId::kFestival, value(dice.pick(months())));
      say(town, RelationId::kMarket, value(dice.pick(weekdays())));
    }
  }

  void describe_person(int person) {
    say(person, RelationId::kTown, dice.pick(world.of_kind(EntityKind::kTown)));
    say(person, RelationId::kColour, value(dice.pick(colours())));
    say(person, RelationId::kFood, dice.pick(world.of_kind(EntityKind::kFood)));
    say(person, RelationId::kHobby, value(dice.pick(hobbies())));
  }

  /// Best friends are each other's: two by two, at random.
  void pair_friends(EntityKind kind) {
    const std::span<const int> people = world.of_kind(kind);
    std::vector<int> order(people.begin(), people.end());
    NC_CHECK(order.size() % 2 == 0, "{} people cannot be paired", order.size());
    dice.shuffle(order);
    for (size_t i = 0; i < order.size(); i += 2) {
      say(order[i], RelationId::kFriend, order[i + 1]);
      say(order[i + 1], RelationId::kFriend, order[i]);
    }
  }

  /// Mothers are of an age to be mothers of any of the children.
  void add_adults() {
    const auto add_adult = [&](const NameRow& row, Gender gender, int64_t youngest,
                               int64_t oldest) {
      const int adult = add_name(EntityKind::kAdult, row, gender);
      say(adult, RelationId::kAge, age(dice.between(youngest, oldest)));
      describe_person(adult);
      say(adult, RelationId::kJob, dice.pick(world.of_kind(EntityKind::kJob)));
      say(adult, RelationId::kTravel, value(dice.pick(ways_to_travel())));
    };
    for (const NameRow& row : woman_names()) add_adult(row, Gender::kFemale, 33, 48);
    for (const NameRow& row : man_names()) add_adult(row, Gender::kMale, 22, 70);
    pair_friends(EntityKind::kAdult);
  }

  void add_children() {
    std::vector<int> mothers;
    for (const int adult : world.of_kind(EntityKind::kAdult)) {
      if (world[adult].gender == Gender::kFemale) mothers.push_back(adult);
    }
    std::vector<NameRow> names(pet_names().begin(), pet_names().end());
    NC_CHECK(names.size() >= girl_names().size() + boy_names().size(), "too few names of pets");
    dice.shuffle(names);
    const auto add_child = [&](const NameRow& row, Gender gender) {
      const int child = add_name(EntityKind::kChild, row, gender);
      const int mother = dice.pick(mothers);
      say(child, RelationId::kAge, age(dice.between(5, 12)));
      describe_person(child);
      say(child, RelationId::kTown, world.object(mother, RelationId::kTown));
      say(child, RelationId::kMother, mother);
      say(child, RelationId::kPet, dice.pick(world.pets_));
      say(child, RelationId::kPetName, value(names.back()));
      names.pop_back();
      say(child, RelationId::kDream, dice.pick(world.of_kind(EntityKind::kJob)));
    };
    for (const NameRow& row : girl_names()) add_child(row, Gender::kFemale);
    for (const NameRow& row : boy_names()) add_child(row, Gender::kMale);
    pair_friends(EntityKind::kChild);
  }
};

World::World(uint64_t seed) : seed_(seed) {
  Builder builder{*this, Dice(seed, Part::kWorld, 0), {}};
  builder.add_animals();
  builder.add_foods_and_things();
  builder.add_towns();
  builder.add_adults();
  builder.add_children();
  for (int subject = 0; subject < static_cast<int>(entities_.size()); ++subject) {
    for (int relation = 0; relation < kRelations; ++relation) {
      const auto id = static_cast<RelationId>(relation);
      if (object(subject, id) >= 0) facts_.push_back({subject, id, object(subject, id)});
    }
  }
}

}  // namespace nanochat::synth
