#include "data/synth/documents.h"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "core/error.h"
#include "data/synth/relations.h"
#include "data/synth/stories.h"
#include "data/synth/text_template.h"

namespace nanochat::synth {
namespace {

/// Of a hundred documents. What is hard to learn by heart or to do gets more than its share of
/// plain prose would be.
struct KindRow {
  DocumentKind kind;
  std::string_view name;
  int percent;
};
constexpr KindRow kKinds[] = {
    {DocumentKind::kStory, "story", 26},
    {DocumentKind::kPortrait, "portrait", 19},
    {DocumentKind::kReading, "reading", 8},
    {DocumentKind::kQuestions, "questions", 15},
    {DocumentKind::kTalk, "talk", 5},
    {DocumentKind::kList, "list", 3},
    {DocumentKind::kArithmetic, "arithmetic", 14},
    {DocumentKind::kLetters, "letters", 10},
};
static_assert(std::size(kKinds) == kDocumentKinds);

/// How a list of those with something in common begins; `plural`: they are called cats, not cat.
struct ListRow {
  RelationId relation;
  bool plural;
  std::string_view english, chinese;
};
constexpr ListRow kLists[] = {
    {RelationId::kTown, false, "These people live in {o}: ", "住在{o}的人有："},
    {RelationId::kColour, false, "These people like {o} best: ", "最喜欢{o}的人有："},
    {RelationId::kHobby, false, "These people like {o}: ", "喜欢{o}的人有："},
    {RelationId::kFood, false, "These people love to eat {o}: ", "爱吃{o}的人有："},
    {RelationId::kPet, false, "These children have {o.an}: ", "养{o}的孩子有："},
    {RelationId::kJob, false, "These people work as {o.s}: ", "当{o}的人有："},
    {RelationId::kDream, false, "These children want to become {o.s}: ", "想当{o}的孩子有："},
    {RelationId::kMother, false, "These are the children of {o}: ", "{o}的孩子有："},
    {RelationId::kTravel, false, "These people go to work {o}: ", "{o}去上班的人有："},
    {RelationId::kEats, true, "These animals eat {o}: ", "吃{o}的动物有："},
    {RelationId::kHome, true, "These animals live {o}: ", "生活在{o}的动物有："},
    {RelationId::kLegs, true, "These animals have {o} legs: ", "有{o}条腿的动物有："},
    {RelationId::kFoodColour, false, "These foods are {o}: ", "{o}的食物有："},
    {RelationId::kTaste, false, "These foods taste {o}: ", "味道很{o}的食物有："},
    {RelationId::kMaterial, true, "These things are made of {o}: ", "用{o}做的东西有："},
    {RelationId::kFestival, false, "These towns have their festival in {o}: ", "在{o}过节的镇有："},
    {RelationId::kMarket, false, "These towns have their market on {o}: ", "{o}有集市的镇有："},
    {RelationId::kLandscape, false, "These towns lie {o}: ", "在{o}的镇有："},
    {RelationId::kPride, false, "These towns are famous for their {o}: ", "以{o}出名的镇有："},
};

const ListRow* list_row(RelationId relation) {
  const auto* const row = std::ranges::find(kLists, relation, &ListRow::relation);
  return row == std::end(kLists) ? nullptr : row;
}

/// What stands between two sentences.
void separate(Language language, std::string& out) {
  if (language == Language::kEnglish && !out.empty() && out.back() != '\n') out += ' ';
}

int draw_other(std::span<const int> from, std::initializer_list<int> taken, Dice& dice) {
  for (;;) {
    const int one = dice.pick(from);
    if (std::ranges::find(taken, one) == taken.end()) return one;
  }
}

/// Unless it stands there already.
void append_question(const Question& question, std::string& out) {
  const std::string text = prompt_and_response(question);
  if (out.find(text) != std::string::npos) return;
  if (!out.empty()) out += '\n';
  out += text;
}

}  // namespace

std::string_view name(DocumentKind kind) noexcept { return kKinds[static_cast<size_t>(kind)].name; }

DocumentMaker::DocumentMaker(const World& world, const QuestionMaker& questions)
    : world_(world), questions_(questions) {
  std::map<std::pair<RelationId, int>, std::vector<int>> groups;
  for (const Fact& fact : world.facts()) {
    if (list_row(fact.relation) != nullptr) {
      groups[{fact.relation, fact.object}].push_back(fact.subject);
    }
  }
  for (auto& [key, subjects] : groups) {
    if (subjects.size() >= 2) groups_.push_back({key.first, key.second, std::move(subjects)});
  }
}

std::vector<Fact> DocumentMaker::facts_about(int subject) const {
  // facts() are in the order of the subjects.
  const auto first = std::ranges::lower_bound(world_.facts(), subject, {}, &Fact::subject);
  const auto end = std::ranges::upper_bound(world_.facts(), subject, {}, &Fact::subject);
  return {first, end};
}

int DocumentMaker::draw_subject(Dice& dice) const {
  // As often as there is something to learn by heart: much of people, little of foods.
  constexpr std::pair<EntityKind, int> kShares[] = {
      {EntityKind::kChild, 45}, {EntityKind::kAdult, 25}, {EntityKind::kTown, 12},
      {EntityKind::kAnimal, 8}, {EntityKind::kThing, 6},  {EntityKind::kFood, 4},
  };
  int64_t left = dice.below(100);
  for (const auto& [kind, share] : kShares) {
    left -= share;
    if (left < 0) return dice.pick(world_.of_kind(kind));
  }
  return dice.pick(world_.of_kind(EntityKind::kChild));
}

void DocumentMaker::state(const Fact& fact, bool use_pronoun, Language language, Dice& dice,
                          std::string& out) const {
  Scope scope(world_, language);
  scope.bind("s", fact.subject).bind("o", fact.object);
  scope.use_pronoun(use_pronoun);
  separate(language, out);
  expand(dice.pick(relation(fact.relation).phrases(language).statements), scope, dice, out);
}

void DocumentMaker::describe(int subject, int64_t most, Language language, Dice& dice,
                             std::string& out) const {
  std::vector<Fact> facts = facts_about(subject);
  dice.shuffle(facts);
  facts.resize(static_cast<size_t>(std::min(most, std::ssize(facts))));
  const Entity& entity = world_[subject];
  const bool has_pronoun = entity.gender != Gender::kNone;
  for (size_t i = 0; i < facts.size(); ++i) {
    state(facts[i], has_pronoun && i > 0 && dice.chance(40), language, dice, out);
  }
}

std::string DocumentMaker::story(Language language, Dice& dice) const {
  const int a = dice.pick(world_.of_kind(EntityKind::kChild));
  const int mother = world_.object(a, RelationId::kMother);
  const std::span<const int> things = world_.of_kind(EntityKind::kThing);
  const int x = dice.pick(world_.toys());
  const int y = draw_other(things, {x}, dice);
  Scope scope(world_, language);
  scope.bind("a", a).bind("b", world_.object(a, RelationId::kFriend)).bind("m", mother);
  const int p = draw_other(world_.of_kind(EntityKind::kAdult), {mother}, dice);
  scope.bind("p", p);
  scope.bind("x", x).bind("y", y).bind("z", draw_other(things, {x, y}, dice));
  scope.bind("g", dice.pick(world_.fragile_things())).bind("f", dice.pick(world_.snacks()));
  scope.bind("n", dice.pick(world_.met_animals())).bind("h", dice.pick(world_.fed_animals()));
  scope.bind("c", dice.pick(world_.of_kind(EntityKind::kPlace)));
  scope.bind_they("ab", a, world_.object(a, RelationId::kFriend));
  scope.bind_they("am", a, mother).bind_they("ap", a, p);

  const Story& plot = dice.pick(stories(language));
  std::string out;
  if (dice.chance(50)) expand(dice.pick(story_openings(language)), scope, dice, out);
  for (std::string_view line : plot.lines) {
    if (line.starts_with('?')) {
      line.remove_prefix(1);
      if (dice.chance(40)) continue;
    }
    separate(language, out);
    expand(line, scope, dice, out);
  }
  if (!dice.chance(35)) return out;
  const auto first = static_cast<size_t>(dice.below(std::ssize(plot.questions)));
  const auto n = static_cast<size_t>(dice.between(1, std::ssize(plot.questions)));
  for (size_t i = 0; i < n; ++i) {
    const StoryQuestion& ask = plot.questions[(first + i) % plot.questions.size()];
    append_question({QuestionKind::kPeople,
                     language,
                     expanded(ask.question, scope, dice),
                     expanded(ask.answer, scope, dice),
                     {}},
                    out);
  }
  return out;
}

std::string DocumentMaker::portrait(Language language, Dice& dice) const {
  std::string out;
  const int subject = draw_subject(dice);
  const EntityKind kind = world_[subject].kind;
  if (kind == EntityKind::kChild || kind == EntityKind::kAdult) {
    describe(subject, dice.between(5, 10), language, dice, out);
    const int other =
        world_.object(subject, kind == EntityKind::kChild && dice.chance(40) ? RelationId::kMother
                                                                             : RelationId::kFriend);
    if (dice.chance(40)) {
      out += '\n';
      describe(other, dice.between(3, 7), language, dice, out);
    }
    return out;
  }
  describe(subject, 8, language, dice, out);
  const int64_t more = dice.between(1, kind == EntityKind::kTown ? 2 : 4);
  int last = subject;
  for (int64_t i = 0; i < more; ++i) {
    out += '\n';
    last = draw_other(world_.of_kind(kind), {subject, last}, dice);
    describe(last, 8, language, dice, out);
  }
  return out;
}

std::string DocumentMaker::reading(Language language, Split split, Dice& dice) const {
  std::vector<Fact> facts = facts_about(draw_subject(dice));
  dice.shuffle(facts);
  facts.resize(std::min<size_t>(facts.size(), 5));
  std::string out;
  for (const Fact& fact : facts) state(fact, false, language, dice, out);
  dice.shuffle(facts);
  Question question;
  for (size_t i = 0; i < std::min<size_t>(facts.size(), 3); ++i) {
    if (questions_.about(facts[i], language, split, dice, question)) append_question(question, out);
  }
  return out;
}

std::string DocumentMaker::fact_questions(Language language, Split split, Dice& dice) const {
  std::string out;
  Question question;
  const int64_t n = dice.between(4, 8);
  const bool about_one = dice.chance(30);
  int subject = draw_subject(dice);
  for (int64_t i = 0; i < n; ++i) {
    const std::vector<Fact> facts = facts_about(subject);
    if (questions_.about(dice.pick(facts), language, split, dice, question)) {
      append_question(question, out);
    }
    if (!about_one) subject = draw_subject(dice);
  }
  return out;
}

std::string DocumentMaker::talk(Language language, Split split, Dice& dice) const {
  const int a = dice.pick(world_.of_kind(EntityKind::kChild));
  const int speakers[] = {a, world_.object(a, RelationId::kFriend)};
  Scope scope(world_, language);
  scope.bind("a", a).bind("b", speakers[1]).bind_they("ab", a, speakers[1]);
  scope.bind("c", dice.pick(world_.of_kind(EntityKind::kPlace)));
  std::string out = expanded(language == Language::kEnglish
                                 ? "{a} and {b} [sit|meet|talk] {c.at}[.|. They like to ask each "
                                   "other questions.]"
                                 : "{a}和{b}在{c.at}[聊天|见面|坐着]。[|{ab}喜欢互相提问。]",
                             scope, dice);
  const std::string_view colon = language == Language::kEnglish ? ": " : "：";
  Question question;
  const int64_t n = dice.between(3, 6);
  for (int64_t i = 0; i < n; ++i) {
    const std::vector<Fact> facts = facts_about(draw_subject(dice));
    if (!questions_.about(dice.pick(facts), language, split, dice, question)) continue;
    if (out.find(question.question) != std::string::npos) continue;
    const int asks = dice.chance(50) ? 1 : 0;
    out += fmt::format("\n{}{}{}\n{}{}{}", world_[speakers[asks]].name(language), colon,
                       question.question, world_[speakers[1 - asks]].name(language), colon,
                       question.response);
  }
  return out;
}

std::string DocumentMaker::list(Language language, Dice& dice) const {
  std::string out;
  const bool is_english = language == Language::kEnglish;
  const int64_t n = dice.between(3, 6);
  for (int64_t i = 0; i < n; ++i) {
    const Group& group = dice.pick(groups_);
    const ListRow& row = *list_row(group.relation);
    Scope scope(world_, language);
    scope.bind("o", group.object);
    if (!out.empty()) out += '\n';
    expand(is_english ? row.english : row.chinese, scope, dice, out);
    std::vector<int> subjects = group.subjects;
    dice.shuffle(subjects);
    for (size_t k = 0; k < subjects.size(); ++k) {
      const Entity& one = world_[subjects[k]];
      if (k > 0) out += is_english ? (k + 1 < subjects.size() ? ", " : " and ") : "、";
      out += is_english && row.plural ? one.plural : one.name(language);
    }
    out += is_english ? "." : "。";
  }
  return out;
}

std::string DocumentMaker::number_table(Split split, Dice& dice) const {
  std::string out;
  if (dice.chance(25)) {
    const int64_t step = dice.pick(std::to_array<int64_t>({1, 1, 2, 3, 5, 10}));
    const int64_t first = dice.between(0, 100 - 9 * step);
    for (int64_t i = 0; i < 10; ++i) out += fmt::format("{}{}", i > 0 ? " " : "", first + i * step);
    return out;
  }
  const auto operation = static_cast<Operation>(dice.below(3));
  const int64_t fixed =
      operation == Operation::kMultiply ? dice.between(2, 9) : dice.between(1, 99);
  for (int64_t b = 1; b <= 10; ++b) {
    const Sum sum{operation, fixed, b};
    if (sum.result() < 0 || sum.result() > 99) continue;
    if (split != Split::kAny && questions_.is_held_out(sum) != (split == Split::kHeldOut)) continue;
    out += fmt::format("{}{} = {}", out.empty() ? "" : "\n", written(sum), sum.result());
  }
  return out;
}

std::string DocumentMaker::arithmetic(Language language, Split split, Dice& dice) const {
  std::string out;
  const int64_t n = dice.between(3, 7);
  for (int64_t i = 0; i < n; ++i) {
    const QuestionKind kind =
        dice.chance(35) ? QuestionKind::kWordProblem : QuestionKind::kArithmetic;
    append_question(questions_.draw(kind, language, split, dice), out);
  }
  if (dice.chance(30)) {
    const std::string table = number_table(split, dice);
    if (!table.empty()) out += '\n' + table;
  }
  return out;
}

std::string DocumentMaker::letters(Language language, Split split, Dice& dice) const {
  std::string out;
  const int64_t n = dice.between(3, 6);
  for (int64_t i = 0; i < n; ++i) {
    const QuestionKind kind = dice.chance(50) ? QuestionKind::kSpelling : QuestionKind::kCounting;
    append_question(questions_.draw(kind, language, split, dice), out);
  }
  return out;
}

Document DocumentMaker::draw(Language language, Split split, Dice& dice) const {
  int64_t left = dice.below(100);
  DocumentKind kind = DocumentKind::kStory;
  for (const KindRow& row : kKinds) {
    kind = row.kind;
    left -= row.percent;
    if (left < 0) break;
  }
  return draw(kind, language, split, dice);
}

Document DocumentMaker::draw(DocumentKind kind, Language language, Split split, Dice& dice) const {
  const auto text = [&]() -> std::string {
    switch (kind) {
      case DocumentKind::kStory:
        return story(language, dice);
      case DocumentKind::kPortrait:
        return portrait(language, dice);
      case DocumentKind::kReading:
        return reading(language, split, dice);
      case DocumentKind::kQuestions:
        return fact_questions(language, split, dice);
      case DocumentKind::kTalk:
        return talk(language, split, dice);
      case DocumentKind::kList:
        return list(language, dice);
      case DocumentKind::kArithmetic:
        return arithmetic(language, split, dice);
      case DocumentKind::kLetters:
        break;
    }
    return letters(language, split, dice);
  };
  return {kind, language, text()};
}

}  // namespace nanochat::synth
