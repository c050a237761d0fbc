/// The plots of the stories, as templates (text_template.h).
///
/// Bound in all of them: children a and b (a's best friend), a's mother m, a grown-up p, a toy x,
/// things y and z, a fragile one g, a food f, animals n (that one may meet) and h (that one may
/// feed), a place c; in Chinese ab, am and ap are "they", a and another. What the world says of
/// them holds in the stories too.
#pragma once

#include <span>
#include <string_view>

#include "data/synth/language.h"

namespace nanochat::synth {

/// About what the story itself tells. The answer is a sentence.
struct StoryQuestion {
  std::string_view question, answer;
};

struct Story {
  std::string_view name;
  /// Sentences in order; one that begins with '?' is left out of some tellings.
  std::span<const std::string_view> lines;
  std::span<const StoryQuestion> questions;
};

[[nodiscard]] std::span<const Story> stories(Language language) noexcept;

/// Sentences about a that any story may begin with.
[[nodiscard]] std::span<const std::string_view> story_openings(Language language) noexcept;

[[nodiscard]] std::span<const Story> english_stories() noexcept;
[[nodiscard]] std::span<const Story> chinese_stories() noexcept;

}  // namespace nanochat::synth
