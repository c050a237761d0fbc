// labels: peers
// The committed tables are what their script makes of the Python package unicodedata2.
// $NANOCHAT_PEERS_PYTHON names the interpreter that has it; default python3.
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>
#include <sys/wait.h>

namespace nanochat {
namespace {

TEST(UnicodeTablesPeerTest, TheTablesAreWhatTheScriptMakes) {
  const char* const named = std::getenv("NANOCHAT_PEERS_PYTHON");
  const std::string python = named != nullptr ? named : "python3";
  const std::string command =
      "'" + python + "' '" NANOCHAT_SOURCE_DIR "/scripts/make_unicode_tables.py' --check";
  const int status = std::system(command.c_str());
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 3 || WEXITSTATUS(status) == 127) {
    GTEST_SKIP() << python << " has no package unicodedata2 16.0.0: install it, or name another "
                 << "interpreter in NANOCHAT_PEERS_PYTHON";
  }
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace nanochat
