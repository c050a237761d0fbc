#include "data/synth/text_template.h"

#include <array>
#include <optional>
#include <utility>

#include "core/error.h"

namespace nanochat::synth {
namespace {

/// What relations are called in paths.
std::optional<RelationId> relation_named(std::string_view name) {
  constexpr std::pair<std::string_view, RelationId> kNames[] = {
      {"town", RelationId::kTown},     {"age", RelationId::kAge},
      {"colour", RelationId::kColour}, {"food", RelationId::kFood},
      {"friend", RelationId::kFriend}, {"hobby", RelationId::kHobby},
      {"pet", RelationId::kPet},       {"petname", RelationId::kPetName},
      {"dream", RelationId::kDream},   {"mother", RelationId::kMother},
      {"job", RelationId::kJob},       {"travel", RelationId::kTravel},
      {"eats", RelationId::kEats},     {"pride", RelationId::kPride},
      {"use", RelationId::kUse},       {"material", RelationId::kMaterial},
      {"taste", RelationId::kTaste},   {"landscape", RelationId::kLandscape},
  };
  for (const auto& [known, relation] : kNames) {
    if (known == name) return relation;
  }
  return std::nullopt;
}

/// Empty: no such form, or this entity has none.
std::string_view english_form(const Entity& entity, std::string_view form) {
  const bool is_female = entity.gender == Gender::kFemale;
  const bool is_male = entity.gender == Gender::kMale;
  if (form == "he") return is_female ? "she" : is_male ? "he" : "it";
  if (form == "his") return is_female ? "her" : is_male ? "his" : "its";
  if (form == "him") return is_female ? "her" : is_male ? "him" : "it";
  if (form == "He") return is_female ? "She" : is_male ? "He" : "It";
  if (form == "His") return is_female ? "Her" : is_male ? "His" : "Its";
  if (form == "an") return entity.an;
  if (form == "An") return entity.an_capital;
  if (form == "s") return entity.plural;
  if (form == "Ss") return entity.plural_capital;
  if (form == "cap") return entity.en_capital;
  if (form == "at") return entity.at;
  if (form == "is") return entity.is_plural ? "are" : "is";
  if (form == "do") return entity.is_plural ? "do" : "does";
  return {};
}

std::string_view chinese_form(const Entity& entity, std::string_view form) {
  if (form == "m") return entity.measure;
  if (form == "at") return entity.zh_at;
  if (form == "he") {
    return entity.gender == Gender::kFemale ? "她" : entity.gender == Gender::kMale ? "他" : "它";
  }
  return {};
}

/// The end of the choice that begins behind text[begin - 1] == '['.
size_t closing_bracket(std::string_view text, size_t begin) {
  int depth = 1;
  for (size_t i = begin; i < text.size(); ++i) {
    if (text[i] == '[') ++depth;
    if (text[i] == ']' && --depth == 0) return i;
  }
  NC_CHECK(false, "no ] in '{}'", text);
  return text.size();
}

/// One of the alternatives between | at depth 0.
std::string_view choose(std::string_view choices, Dice& dice) {
  std::array<size_t, 17> cuts{};  // where alternatives begin; one more behind the last |
  size_t n = 1;
  int depth = 0;
  for (size_t i = 0; i < choices.size(); ++i) {
    if (choices[i] == '[') ++depth;
    if (choices[i] == ']') --depth;
    if (choices[i] == '|' && depth == 0) {
      NC_CHECK(n + 1 < cuts.size(), "too many choices in '{}'", choices);
      cuts[n++] = i + 1;
    }
  }
  cuts[n] = choices.size() + 1;
  const auto chosen = static_cast<size_t>(dice.below(static_cast<int64_t>(n)));
  return choices.substr(cuts[chosen], cuts[chosen + 1] - 1 - cuts[chosen]);
}

}  // namespace

Scope& Scope::bind(std::string_view name, int entity) {
  NC_CHECK(n_bindings_ < kMaxBindings && entity >= 0, "cannot bind {} to {}", name, entity);
  bindings_[n_bindings_++] = {name, entity, {}};
  return *this;
}

Scope& Scope::bind_text(std::string_view name, std::string_view text) {
  NC_CHECK(n_bindings_ < kMaxBindings, "too many names for {}", name);
  bindings_[n_bindings_++] = {name, -1, text};
  return *this;
}

Scope& Scope::bind_they(std::string_view name, int one, int other) {
  const bool are_women =
      world_[one].gender == Gender::kFemale && world_[other].gender == Gender::kFemale;
  return bind_text(name, are_women ? "她们" : "他们");
}

const Scope::Binding* Scope::find(std::string_view name) const noexcept {
  for (size_t i = n_bindings_; i > 0; --i) {  // the newest wins
    if (bindings_[i - 1].name == name) return &bindings_[i - 1];
  }
  return nullptr;
}

void Scope::append_subject(bool possessive, std::string& out) const {
  const Binding* const subject = find("s");
  NC_CHECK(subject != nullptr && subject->entity >= 0, "no subject");
  const Entity& entity = world_[subject->entity];
  if (language_ == Language::kEnglish) {
    if (pronoun_) {
      out += english_form(entity, possessive ? "His" : "He");
    } else {
      out += entity.en_capital;
      if (possessive) out += "'s";
    }
    return;
  }
  out += pronoun_ ? chinese_form(entity, "he") : std::string_view(entity.zh);
  if (possessive) out += "的";
}

void Scope::append(std::string_view path, std::string& out) const {
  if (path == "S" || path == "S's") return append_subject(path.size() > 1, out);
  size_t dot = path.find('.');
  const Binding* const binding = find(path.substr(0, dot));
  NC_CHECK(binding != nullptr, "nothing is bound to '{}'", path);
  if (binding->entity < 0) {
    NC_CHECK(dot == std::string_view::npos, "'{}' is a text", path);
    out += binding->text;
    return;
  }
  int entity = binding->entity;
  while (dot != std::string_view::npos) {
    const size_t next = path.find('.', dot + 1);
    const std::string_view word = path.substr(dot + 1, next - dot - 1);
    dot = next;
    if (const auto relation = relation_named(word)) {
      entity = world_.object(entity, *relation);
      NC_CHECK(entity >= 0, "'{}' leads nowhere", path);
      continue;
    }
    const Entity& at = world_[entity];
    if (word == "vs") {  // the only form that may be empty
      if (!at.is_plural) out += 's';
      return;
    }
    const std::string_view form =
        language_ == Language::kEnglish ? english_form(at, word) : chinese_form(at, word);
    NC_CHECK(!form.empty() && next == std::string_view::npos, "{} has no '{}'", at.en, path);
    out += form;
    return;
  }
  out += world_[entity].name(language_);
}

void expand(std::string_view text, const Scope& scope, Dice& dice, std::string& out) {
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '{') {
      const size_t end = text.find('}', i);
      NC_CHECK(end != std::string_view::npos, "no }} in '{}'", text);
      scope.append(text.substr(i + 1, end - i - 1), out);
      i = end + 1;
    } else if (text[i] == '[') {
      const size_t end = closing_bracket(text, i + 1);
      expand(choose(text.substr(i + 1, end - i - 1), dice), scope, dice, out);
      i = end + 1;
    } else {
      const size_t end = std::min(text.find_first_of("{[", i), text.size());
      out += text.substr(i, end - i);
      i = end;
    }
  }
}

std::string expanded(std::string_view text, const Scope& scope, Dice& dice) {
  std::string out;
  expand(text, scope, dice, out);
  return out;
}

}  // namespace nanochat::synth
