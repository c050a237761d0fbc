/// How facts are said and asked, in both languages.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "data/synth/world.h"

namespace nanochat::synth {

/// Templates (text_template.h) about subject {s} and object {o}. No choices in questions: which
/// phrasing was asked must be clear, since facts are held out by phrasing. No question may be part
/// of another one about the same subject.
struct Phrases {
  std::span<const std::string_view> statements;  ///< the first is the answer to every question
  std::span<const std::string_view> questions;
};

struct Relation {
  RelationId id;
  std::string_view name;
  Phrases english, chinese;

  [[nodiscard]] const Phrases& phrases(Language language) const noexcept {
    return language == Language::kEnglish ? english : chinese;
  }
};

/// By RelationId.
[[nodiscard]] const Relation& relation(RelationId id) noexcept;

/// What a question is called after: people, towns, animals, foods, things.
[[nodiscard]] std::string_view subject_kind_name(EntityKind kind) noexcept;

}  // namespace nanochat::synth
