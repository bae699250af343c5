// Seals that are accepted, and the changes that break them.
#include "milter/seal/seal.h"

#include <catch2/catch.hpp>

#include "milter/seal/identity.h"

using seal::Identity;
using seal::Result;
using seal::Seconds;

namespace {

constexpr std::string_view kHeader = "mx2.example.org;pattern=relay;score=0.3;segments=77,2896;v=1";
constexpr Seconds kNow{1764108000};
constexpr Seconds kDay{86400};
const seal::Key kKey{"2026a", std::string(32, '\x01')};
const std::vector<seal::Key> kKeys{{"2026b", std::string(32, '\x02')}, kKey};

struct Field {
  std::string name, value;
};
const std::vector<Field> kMessage{{"From", " A <a@sender.example>"},
                                  {"Subject", " hello\n\tworld"},
                                  {"Date", " Wed, 25 Nov 2026 22:00:00 +0000"},
                                  {"Message-ID", " <1@sender.example>"},
                                  {"X-Other", " any"}};

seal::Digest identity_of(const std::vector<Field>& fields) {
  Identity identity;
  for (const Field& field : fields) identity.field(field.name, field.value);
  return identity.digest();
}

// The header as the filter writes it, folded.
std::string sealed(const seal::Key& key = kKey, Seconds time = kNow,
                   const std::vector<Field>& message = kMessage) {
  const std::string item = seal::make(kHeader, identity_of(message), key, time);
  const auto comma = item.rfind(',');
  return "mx2.example.org; pattern=relay; score=0.3;\n\tsegments=77,2896;\n\t" +
         item.substr(0, comma + 1) + "\n\t" + item.substr(comma + 1) + "; v=1";
}

Result checked(const std::string& value, const std::vector<Field>& message = kMessage,
               Seconds now = kNow) {
  return seal::check(value, identity_of(message), kKeys, now, kDay);
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != text.npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("a header that another host sealed for this message is trusted") {
  CHECK(checked(sealed()) == Result::Good);
  CHECK(checked(sealed(kKeys[0])) == Result::Good);
}

TEST_CASE("a seal stays good however a relay folds the header and the fields") {
  auto value = sealed();
  for (char& c : value) {
    if (c == '\n') c = ' ';
  }
  CHECK(checked(value) == Result::Good);
  CHECK(checked(replaced(sealed(), "; score", ";\r\n    score")) == Result::Good);
  auto message = kMessage;
  message[1].value = "hello world ";
  message[1].name = "SUBJECT";
  CHECK(checked(sealed(), message) == Result::Good);
}

TEST_CASE("a seal is wrong if any part of the header is changed") {
  const auto good = sealed();
  struct Row {
    const char* label;
    std::string value;
    Result expected;
  };
  const auto item = seal::make(kHeader, identity_of(kMessage), kKey, kNow);
  const std::string digits(64, '0');
  const Row rows[] = {
      {"another pattern", replaced(good, "relay", "official-mta"), Result::Wrong},
      {"another host", replaced(good, "mx2", "mx1"), Result::Wrong},
      {"one item more", replaced(good, "; v=1", "; x=1; v=1"), Result::Wrong},
      {"one item less", replaced(good, "; v=1", ""), Result::Wrong},
      {"an empty item", replaced(good, "; v=1", ";; v=1"), Result::Wrong},
      {"a later time", replaced(good, "1764108000", "1764108001"), Result::Wrong},
      {"another key's name", replaced(good, "2026a", "2026b"), Result::Wrong},
      {"a name we do not have", replaced(good, "2026a", "2025"), Result::UnknownKey},
      {"no seal", "mx2.example.org; pattern=relay; v=1", Result::Unsigned},
      {"empty", "", Result::Unsigned},
      {"two seals", good + "; " + item, Result::Malformed},
      {"a seal and nothing else", item, Result::Malformed},
      {"without the time", "h; seal=2026a," + digits, Result::Malformed},
      {"a time that is none", "h; seal=2026a,now," + digits, Result::Malformed},
      {"a time before 1970", "h; seal=2026a,-5," + digits, Result::Malformed},
      {"a time with a zero in front", "h; seal=2026a,01764108000," + digits, Result::Malformed},
      {"a time of many digits", "h; seal=2026a,1764108000000," + digits, Result::Malformed},
      {"a digit too few", "h; seal=2026a,1764108000," + digits.substr(1), Result::Malformed},
      {"a digit too many", "h; seal=2026a,1764108000," + digits + "0", Result::Malformed},
      {"no digits", "h; seal=2026a,1764108000," + std::string(64, 'g'), Result::Malformed},
      {"an empty name", "h; seal=,1764108000," + digits, Result::UnknownKey},
      {"an empty seal", "h; seal=; v=1", Result::Malformed},
      {"a byte that we never write", replaced(good, "score", "sc\xf6re"), Result::Malformed},
      {"far too long", good + std::string(seal::kMostValue, ' '), Result::Malformed},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    CHECK(seal::name(checked(row.value)) == seal::name(row.expected));
  }
}

TEST_CASE("a seal is wrong for another message") {
  for (std::size_t i = 0; i < 4; ++i) {
    INFO(kMessage[i].name);
    auto changed = kMessage;
    changed[i].value += "x";
    CHECK(checked(sealed(), changed) == Result::Wrong);
    auto without = kMessage;
    without.erase(without.begin() + static_cast<std::ptrdiff_t>(i));
    CHECK(checked(sealed(), without) == Result::Wrong);
    auto twice = kMessage;
    twice.push_back(kMessage[i]);
    CHECK(checked(sealed(), twice) == Result::Wrong);
  }
  auto other = kMessage;
  other[4].value = " changed on the way";
  CHECK(checked(sealed(), other) == Result::Good);
}

TEST_CASE("a message without any of the fields can be sealed too") {
  CHECK(checked(sealed(kKey, kNow, {}), {}) == Result::Good);
  CHECK(checked(sealed(kKey, kNow, {}), kMessage) == Result::Wrong);
}

TEST_CASE("a seal ages, and clocks may differ a little") {
  CHECK(checked(sealed(), kMessage, kNow + kDay) == Result::Good);
  CHECK(checked(sealed(), kMessage, kNow + kDay + Seconds(1)) == Result::TooOld);
  CHECK(checked(sealed(), kMessage, kNow - seal::kAhead) == Result::Good);
  CHECK(checked(sealed(), kMessage, kNow - seal::kAhead - Seconds(1)) == Result::Ahead);
}

TEST_CASE("a seal is wrong if the key of its name has another secret") {
  CHECK(checked(sealed({"2026a", std::string(32, '\x03')})) == Result::Wrong);
}

TEST_CASE("fields are brought into DKIM's relaxed form") {
  // RFC 6376, 3.4.2: names in lower case, each fold or run of blanks as one blank, none at the
  // ends.
  CHECK(seal::relaxed("SUBject", " hello, \t world \r\n\t again \t") ==
        "subject:hello, world again\r\n");
  CHECK(seal::relaxed("From", "") == "from:\r\n");
  CHECK(seal::relaxed("From ", "a") == "from:a\r\n");
}
