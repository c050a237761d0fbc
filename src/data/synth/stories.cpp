#include "data/synth/stories.h"

namespace nanochat::synth {
namespace {

constexpr std::string_view kOpenings[] = {
    "[There was once|In a house in {a.town} there lived] a child called {a}[.|, who was "
    "{a.age} years old.]",
    "{a} is {a.age} years old and lives in {a.town}.",
    "This is a story about {a} from {a.town}.",
    "{a} has {a.pet.an} called {a.petname}.",
    "{a} lives in {a.town} and loves {a.food}.",
    "{a} is the child of {m} and likes {a.hobby}.",
    "{a}'s favourite colour is {a.colour}, and {a.his} best friend is {b}.",
    "{a} wants to become {a.dream.an} one day.",
};

constexpr std::string_view kChineseOpenings[] = {
    "[从前|在{a.town}]，有一个孩子名叫{a}[。|，今年{a.age}岁。]",
    "{a}今年{a.age}岁，住在{a.town}。",
    "这是{a.town}的孩子{a}的故事。",
    "{a}有一{a.pet.m}{a.pet}，名叫{a.petname}。",
    "{a}住在{a.town}，最喜欢吃{a.food}。",
    "{a}是{m}的孩子，喜欢{a.hobby}。",
    "{a}最喜欢{a.colour}，最好的朋友是{b}。",
    "{a}长大以后想当{a.dream}。",
};

}  // namespace

std::span<const Story> stories(Language language) noexcept {
  return language == Language::kEnglish ? english_stories() : chinese_stories();
}

std::span<const std::string_view> story_openings(Language language) noexcept {
  if (language == Language::kEnglish) return kOpenings;
  return kChineseOpenings;
}

}  // namespace nanochat::synth
