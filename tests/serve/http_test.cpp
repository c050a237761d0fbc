#include "serve/http.h"

#include <optional>
#include <string>

#include <gtest/gtest.h>

namespace nanochat::serve {
namespace {

using namespace std::string_literals;

TEST(Target, IsTakenApart) {
  const auto target = parse_target("/api/runs/base/d%204?from=10&x=%41");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->path, "/api/runs/base/d 4");
  EXPECT_EQ(target->query, "from=10&x=%41");
  EXPECT_EQ(target->authority, "");
  EXPECT_EQ(parse_target("/v1/models/runs%2Fmine%40300")->path, "/v1/models/runs/mine@300");
  EXPECT_EQ(parse_target("/?")->query, "");
  EXPECT_EQ(parse_target("*")->path, "*");
}

TEST(Target, MayBeAbsoluteAsForAProxy) {
  const auto target = parse_target("http://localhost:8000/health?a");
  ASSERT_TRUE(target);
  EXPECT_EQ(target->path, "/health");
  EXPECT_EQ(target->query, "a");
  EXPECT_EQ(target->authority, "localhost:8000");
  EXPECT_EQ(parse_target("HTTP://host")->path, "/");
  EXPECT_EQ(parse_target("http://host?q")->query, "q");
}

TEST(Target, ThatIsNoneIsRefused) {
  for (const char* const target :
       {"", "health", "//\xff", "/%", "/%4", "/%4g", "/%00", "/%ff", "/%c0%af", "/a#b",
        "ftp://host/", "http:///path", "host:443", "**"}) {
    EXPECT_FALSE(parse_target(target)) << target;
  }
}

TEST(Query, ValuesAreFound) {
  EXPECT_EQ(query_value("a=1&from=2%30&b", "from"), "2%30");
  EXPECT_EQ(query_value("a=1&b", "b"), "");
  EXPECT_EQ(query_value("f%72om=5", "from"), "5");
  EXPECT_EQ(query_value("xfrom=5", "from"), std::nullopt);
  EXPECT_EQ(query_value("", "from"), std::nullopt);
  EXPECT_EQ(query_value("&&==&", "from"), std::nullopt);
}

TEST(Gzip, IsTakenWhereTheClientSaysSo) {
  for (const char* const yes : {"gzip", "GZIP", "br, gzip", "gzip;q=0.1", "deflate , gzip ; q=1"}) {
    EXPECT_TRUE(accepts_gzip(yes)) << yes;
  }
  for (const char* const no :
       {"", "br", "xgzip", "gzip;q=0", "gzip;q=0.000", "identity, gzip; q=0"}) {
    EXPECT_FALSE(accepts_gzip(no)) << no;
  }
}

TEST(MediaType, IsWithoutParametersInLowerCase) {
  EXPECT_EQ(media_type("application/json"), "application/json");
  EXPECT_EQ(media_type(" Application/JSON ; charset=utf-8"), "application/json");
  EXPECT_EQ(media_type("text/plain"), "text/plain");
  EXPECT_EQ(media_type(""), "");
}

TEST(LoopbackHost, IsThisMachineAndNoNameThatLooksLikeIt) {
  for (const char* const yes :
       {"localhost", "LocalHost", "localhost.", "127.0.0.1", "127.1.2.3", "[::1]", "::1"}) {
    EXPECT_TRUE(is_loopback_host(yes)) << yes;
  }
  for (const char* const no :
       {"", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0", "127.",
        "127...", "127.0.0.", "0.0.0.0", "[::]", "192.168.0.1", "127.0.0.1:80", "128.0.0.1"}) {
    EXPECT_FALSE(is_loopback_host(no)) << no;
  }
}

TEST(Authority, HasAHost) {
  EXPECT_EQ(host_of_authority("localhost:8000"), "localhost");
  EXPECT_EQ(host_of_authority("localhost"), "localhost");
  EXPECT_EQ(host_of_authority("[::1]:8000"), "[::1]");
  EXPECT_EQ(host_of_authority("[::1"), "[::1");
  EXPECT_EQ(host_of_authority(""), "");
}

TEST(Headers, AreFoundWithoutRegardToCase) {
  const Headers headers{{"Host", "a"}, {"X-Y", "1"}, {"x-y", "2"}};
  EXPECT_EQ(find_header(headers, "x-Y"), "1");
  EXPECT_EQ(find_header(headers, "x-z"), "");
  EXPECT_EQ(count_headers(headers, "X-y"), 2);
}

TEST(Date, IsRfc9110s) { EXPECT_EQ(http_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT"); }

}  // namespace
}  // namespace nanochat::serve
