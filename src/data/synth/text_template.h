/// Sentences with slots and choices.
///
///   {a}            the name of what `a` is bound to
///   {a.friend.his} a path: relations lead from an entity to another, the last word may be a form
///   [x|y|z]        one of these, at random; may be nested; [x|] is x or nothing
///
/// Forms of English: an, An ("an apple"), s, Ss ("apples"), cap ("Apples"), at ("in the park"),
/// he, him, his, He, His; is, do, vs (the ending of a verb) where the noun may be a plural.
/// Forms of Chinese: m (measure word), at, he (the pronoun).
/// Two names stand for the subject s where it begins a sentence: {S} and {S's}. They become a
/// pronoun in a scope that asks for one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "data/synth/dice.h"
#include "data/synth/world.h"

namespace nanochat::synth {

/// What the slots of a template stand for. Holds views: names and texts must outlive it.
class Scope {
 public:
  Scope(const World& world, Language language) : world_(world), language_(language) {}

  [[nodiscard]] const World& world() const noexcept { return world_; }
  [[nodiscard]] Language language() const noexcept { return language_; }

  Scope& bind(std::string_view name, int entity);
  Scope& bind_text(std::string_view name, std::string_view text);
  /// The Chinese "they" of two people.
  Scope& bind_they(std::string_view name, int one, int other);
  /// {S} and {S's} become "she" and "her", "it" and "its".
  void use_pronoun(bool yes) noexcept { pronoun_ = yes; }

  /// Appends what `path`, the inside of braces, stands for. A path that leads nowhere is a bug of
  /// the tables and aborts.
  void append(std::string_view path, std::string& out) const;

 private:
  struct Binding {
    std::string_view name;
    int entity = -1;  // -1: text
    std::string_view text;
  };
  [[nodiscard]] const Binding* find(std::string_view name) const noexcept;
  void append_subject(bool possessive, std::string& out) const;

  static constexpr size_t kMaxBindings = 16;
  const World& world_;
  Language language_;
  bool pronoun_ = false;
  size_t n_bindings_ = 0;
  Binding bindings_[kMaxBindings];
};

/// Appends the template, with slots filled and choices made.
void expand(std::string_view text, const Scope& scope, Dice& dice, std::string& out);

/// The same, as a string of its own.
[[nodiscard]] std::string expanded(std::string_view text, const Scope& scope, Dice& dice);

}  // namespace nanochat::synth
