/// The documents that a base model is trained on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/synth/questions.h"

namespace nanochat::synth {

enum class DocumentKind : uint8_t {
  kStory,       ///< a story, of which some end with questions about it
  kPortrait,    ///< what is true of a person or a town, or of some animals, foods or things
  kReading,     ///< a short portrait, then questions that it answers
  kQuestions,   ///< questions about facts, and nothing else
  kTalk,        ///< the same as a talk between friends
  kList,        ///< who or what has something in common
  kArithmetic,  ///< sums worked out, word problems, tables, counting
  kLetters,     ///< spelling and counting letters
};
inline constexpr int kDocumentKinds = 8;

/// "story", "portrait", ...
[[nodiscard]] std::string_view name(DocumentKind kind) noexcept;

struct Document {
  DocumentKind kind;
  Language language;
  std::string text;
};

class DocumentMaker {
 public:
  /// Both must outlive it.
  DocumentMaker(const World& world, const QuestionMaker& questions);

  /// A document whose kind is drawn too. Its questions are of `split`.
  [[nodiscard]] Document draw(Language language, Split split, Dice& dice) const;
  [[nodiscard]] Document draw(DocumentKind kind, Language language, Split split, Dice& dice) const;

 private:
  struct Group {  // who or what has something in common
    RelationId relation;
    int object;
    std::vector<int> subjects;
  };

  [[nodiscard]] std::string story(Language language, Dice& dice) const;
  [[nodiscard]] std::string portrait(Language language, Dice& dice) const;
  [[nodiscard]] std::string reading(Language language, Split split, Dice& dice) const;
  [[nodiscard]] std::string fact_questions(Language language, Split split, Dice& dice) const;
  [[nodiscard]] std::string talk(Language language, Split split, Dice& dice) const;
  [[nodiscard]] std::string list(Language language, Dice& dice) const;
  [[nodiscard]] std::string arithmetic(Language language, Split split, Dice& dice) const;
  [[nodiscard]] std::string letters(Language language, Split split, Dice& dice) const;

  [[nodiscard]] std::vector<Fact> facts_about(int subject) const;
  /// Someone or something that facts are known of.
  [[nodiscard]] int draw_subject(Dice& dice) const;
  void state(const Fact& fact, bool use_pronoun, Language language, Dice& dice,
             std::string& out) const;
  void describe(int subject, int64_t most, Language language, Dice& dice, std::string& out) const;
  [[nodiscard]] std::string number_table(Split split, Dice& dice) const;

  const World& world_;
  const QuestionMaker& questions_;
  std::vector<Group> groups_;
};

}  // namespace nanochat::synth
