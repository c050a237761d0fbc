// labels: parity
// What upstream's use_calculator says, and where we knowingly say something else.
#include <map>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "engine/tools/calculator.h"
#include "support/fixtures.h"

namespace nanochat {
namespace {

constexpr const char* kFile = "tasks/calculator.json";
constexpr const char* kNothing = "nothing";

/// Upstream is wrong here: it removes commas from literals, and refuses words in which it finds one
/// of "__", "import", "exec", "eval", "compile", "open", "file", "input", "locals", "vars", "dir".
const std::map<std::string, std::string>& corrected() {
  static const std::map<std::string, std::string> answers{
      {"'a,b,c'.count(',')", "2"},    {"'import'.count('i')", "1"},
      {"'evaluate'.count('e')", "2"}, {"'openness'.count('n')", "2"},
      {"'profile'.count('e')", "1"},  {"'directory'.count('r')", "2"},
      {"'__'.count('_')", "2"},       {"'input'.count('n')", "1"},
      {"'EXECUTE'.count('E')", "3"},  {"'compiled'.count('c')", "1"},
      {"'localswim'.count('l')", "2"}};
  return answers;
}

/// General Python that upstream evaluates because its filter lets it through; we do not.
const std::set<std::string>& not_followed() {
  static const std::set<std::string> texts{"()",
                                           "'abc'.count('a').real",
                                           "'x'.join('abc').count('x')",
                                           "''.count('a') or 5",
                                           "not 'a'.count('b')",
                                           "'a'.count('a') if 'b'.count('b') else 0",
                                           "'abc'.count('b').bit_length()",
                                           "r'abc'.count('a')",
                                           "b'abc'.count(b'a')",
                                           "f'abc'.count('a')",
                                           "'abc'.count(''.join('b'))"};
  return texts;
}

TEST(CalculatorParityTest, AgreesWithUpstreamButForTheListedDifferences) {
  if (!exists(test::fixtures_dir() / kFile)) GTEST_SKIP() << test::missing_fixture(kFile);
  const nlohmann::json cases = test::load_json(test::fixtures_dir() / kFile).at("cases");
  ASSERT_GT(cases.size(), 150U);
  size_t n_different = 0;
  for (const auto& c : cases) {
    const auto text = c.at("expr").get<std::string>();
    const bool rejected = c.at("rejected").get<bool>();
    std::string expected = rejected ? kNothing : c.at("str").get<std::string>();
    if (const auto correction = corrected().find(text); correction != corrected().end()) {
      expected = correction->second;
    } else if (not_followed().contains(text)) {
      EXPECT_EQ(c.at("level"), "exotic") << text;
      expected = kNothing;
    }
    EXPECT_EQ(calculate(text).value_or(kNothing), expected) << text;
    n_different += rejected ? expected != kNothing : expected != c.at("str").get<std::string>();
  }
  EXPECT_EQ(n_different, corrected().size() + not_followed().size()) << "an entry without a case";
}

}  // namespace
}  // namespace nanochat
