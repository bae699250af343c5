// Key files that are accepted, and near misses with the line that is refused.
#include "milter/seal/keys.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace {

const std::string kHex(64, 'a');

std::vector<seal::Key> keys_of(std::string_view text) {
  auto result = seal::parse_keys(text);
  REQUIRE(std::holds_alternative<std::vector<seal::Key>>(result));
  return std::get<std::vector<seal::Key>>(result);
}

std::string refusal(std::string_view text) {
  auto result = seal::parse_keys(text);
  if (!std::holds_alternative<seal::KeyError>(result)) return "taken";
  const auto& error = std::get<seal::KeyError>(result);
  return std::to_string(error.line) + ": " + error.message;
}

class KeyFile {
 public:
  KeyFile(const std::string& text, int mode) {
    char name[] = "/tmp/segmilter-keys-XXXXXX";
    close(mkstemp(name));
    path_ = name;
    std::ofstream(path_) << text;
    std::filesystem::permissions(path_, static_cast<std::filesystem::perms>(mode));
  }
  ~KeyFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

TEST_CASE("a file has one key a line, comments and blank lines, and keeps their order") {
  const auto keys = keys_of("# keys\n\n  2026b : " + kHex + "\r\n2026a:00ff" + kHex + "\n");
  REQUIRE(keys.size() == 2);
  CHECK(keys[0].id == "2026b");
  CHECK(keys[0].secret == std::string(32, '\xaa'));
  CHECK(keys[1].secret == std::string("\x00\xff", 2) + std::string(32, '\xaa'));
  CHECK(keys_of("k:" + kHex).size() == 1);  // without a line end
}

TEST_CASE("a line that is not a key is refused by its number and without its text") {
  const std::string good = "k:" + kHex + "\n";
  struct Row {
    const char* label;
    std::string text;
    const char* message;
  };
  const Row rows[] = {
      {"nothing", "", "0: the file has no key"},
      {"comments only", "# a\n\n", "2: the file has no key"},
      {"no name", good + kHex, "2: expected ID:HEX"},
      {"empty name", ":" + kHex, "1: a key's name has 1 to 32 letters, digits, '-' and '_'"},
      {"a name that would end the header's word", "a,b:" + kHex,
       "1: a key's name has 1 to 32 letters, digits, '-' and '_'"},
      {"a long name", std::string(33, 'k') + ":" + kHex,
       "1: a key's name has 1 to 32 letters, digits, '-' and '_'"},
      {"base64", "k:c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3I=",
       "1: a key has an even number of hexadecimal digits (openssl rand -hex 32)"},
      {"an odd digit", "k:" + kHex + "0",
       "1: a key has an even number of hexadecimal digits (openssl rand -hex 32)"},
      {"too short", "k:" + std::string(30, 'a'),
       "1: a key has 32 to 128 hexadecimal digits (openssl rand -hex 32)"},
      {"too long", "k:" + std::string(130, 'a'),
       "1: a key has 32 to 128 hexadecimal digits (openssl rand -hex 32)"},
      {"twice", good + good, "2: key k occurs twice"},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    CHECK(refusal(row.text) == row.message);
  }
  std::string many;
  for (int i = 0; i < 16; ++i) many += "k" + std::to_string(i) + ":" + kHex + "\n";
  CHECK(refusal(many) == "taken");
  CHECK(refusal(many + good) == "17: more than 16 keys");
}

TEST_CASE("a file that others could read or change is refused") {
  const std::string text = "k:" + kHex + "\n";
  for (const int mode : {0400, 0600, 0640}) {
    const KeyFile file(text, mode);
    CHECK(seal::read_keys(file.path()).size() == 1);
  }
  for (const int mode : {0644, 0660, 0604, 0602}) {
    const KeyFile file(text, mode);
    CHECK_THROWS_WITH(
        seal::read_keys(file.path()),
        file.path() + ": other users can read it or its group can write it: chmod 0640 or less");
  }
  const KeyFile bad("# c\nk:zz\n", 0600);
  CHECK_THROWS_WITH(seal::read_keys(bad.path()),
                    Catch::StartsWith(bad.path() + ":2: a key has an even number"));
  const KeyFile large(std::string(17 * 1024, '#'), 0600);
  CHECK_THROWS_WITH(seal::read_keys(large.path()), large.path() + ": it is longer than 16 KiB");
  CHECK_THROWS_WITH(seal::read_keys("/nonexistent/keys"),
                    "/nonexistent/keys: cannot be read: No such file or directory");
  CHECK_THROWS_WITH(seal::read_keys("/dev/null"), "/dev/null: is not a file");
}
