// The table of signs: each has its own setting, reason and weight, and the documents list it.
#include "classifier/signs.h"

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "classifier/classify.h"
#include "classifier/trace_text.h"

namespace {

using namespace classifier;

// As documents write it: "+4.0", "-1.0", "0.0".
std::string text_of(double weight) {
  return weight == 0 ? "0.0" : fmt::format("{:+.1f}", weight);
}

std::string without_plus(const std::string& weight) {
  return weight.starts_with('+') ? weight.substr(1) : weight;
}

struct Listed {
  std::string key;
  std::string weight;
  std::string reason;
  bool operator==(const Listed&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Listed& row) {
  return out << row.key << " " << row.weight << " " << row.reason;
}

// The list that a document should have, with or without reasons.
std::vector<Listed> all_signs(bool reasons) {
  std::vector<Listed> rows;
  const Weights weights;
  for (const Sign& sign : kSigns) {
    const std::string reason = fmt::format(fmt::runtime(sign.sentence), "NAME");
    rows.push_back({std::string(sign.key), text_of(sign.weight(weights)), reasons ? reason : ""});
  }
  if (!reasons) {
    for (Listed& row : rows) row.weight = without_plus(row.weight);
  }
  return rows;
}

// The lines of `file` after the line `begin`, up to the next one that starts with `end`.
std::vector<std::string> section(const std::string& file, const std::string& begin,
                                 const std::string& end) {
  std::ifstream in(file);
  REQUIRE(in);
  std::vector<std::string> lines;
  std::string line;
  while (std::getline(in, line) && line != begin) {
  }
  while (std::getline(in, line) && !line.starts_with(end)) lines.push_back(line);
  REQUIRE_FALSE(lines.empty());
  return lines;
}

// The cells of "| `key` | +4.0 | reason | why |", without marks.
std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> found;
  std::istringstream in(line.substr(1));
  for (std::string cell; std::getline(in, cell, '|');) {
    const auto first = cell.find_first_not_of(" `");
    const auto last = cell.find_last_not_of(" `");
    found.push_back(first == cell.npos ? "" : cell.substr(first, last - first + 1));
  }
  return found;
}

}  // namespace

TEST_CASE("each sign has its own setting, reason and weight") {
  std::set<std::string_view> keys;
  std::set<std::string_view> sentences;
  std::set<const double*> weights;
  const Weights defaults;
  for (const Sign& sign : kSigns) {
    keys.insert(sign.key);
    sentences.insert(sign.sentence);
    weights.insert(&sign.weight(defaults));
    CHECK_FALSE(sign.key.empty());
    CHECK((sign.sentence.find("{}") != sign.sentence.npos) == (sign.about != nullptr));
  }
  CHECK(keys.size() == kSigns.size());
  CHECK(sentences.size() == kSigns.size());
  CHECK(weights.size() == kSigns.size());
}

TEST_CASE("each sign that is seen adds its own weight, and no other one") {
  struct Row {
    std::string_view key;
    Dialogue dialogue;
    std::uint32_t header_cuts = 0;
    std::string_view contradicted;
  };
  const Row rows[] = {
      {"early-talker", {.early_talker = true}},
      {"early-data", {.early_data = true}},
      {"split-command", {.split_command = true}},
      {"bare-lf", {.bare_lf = true}},
      {"quit-with-dot", {.quit_with_dot = true}},
      {"template-cuts", {}, 2},
      {"contradiction", {}, 0, "exim"},
      {"bot-template", {}, 1},  // one such cut adds no second sign
  };
  Weights weights;
  double next = 1;
  for (const Sign& sign : kSigns) sign.weight(weights) = next++;
  for (const Row& row : rows) {
    CAPTURE(std::string(row.key));
    const Seen seen{.dialogue = row.dialogue,
                    .pattern = Pattern::BotTemplate,
                    .confidence = 0.5,
                    .header_cuts = row.header_cuts,
                    .contradicted = row.contradicted};
    for (const Sign& sign : kSigns) {
      CAPTURE(std::string(sign.key));
      const bool pattern = sign.key == "bot-template";
      const double strength = pattern ? 0.5 : (sign.key == row.key ? 1 : 0);
      CHECK(sign.term(seen, weights).weight == strength * sign.weight(weights));
    }
  }
}

TEST_CASE("a cut inside header lines is a sign of a template alone") {
  const Dialogue silent;
  for (int i = 0; i < kPatterns; ++i) {
    const auto pattern = static_cast<Pattern>(i);
    CAPTURE(std::string(name(pattern)));
    const Seen seen{.dialogue = silent, .pattern = pattern, .confidence = 1, .header_cuts = 9};
    double score = 0;
    for (const Sign& sign : kSigns) score += sign.term(seen, Weights()).weight;
    const double cuts = pattern == Pattern::BotTemplate ? Weights().template_cuts : 0;
    CHECK(score == Weights().pattern[static_cast<std::size_t>(i)] + cuts);
  }
}

TEST_CASE("a term names its subject, and its words come from the table") {
  const Dialogue silent;
  const Seen seen{.dialogue = silent, .contradicted = "exim"};
  CHECK(kSigns.back().term(seen, Weights()).sentence() == "claims to be exim");
  CHECK(kSigns.front().term(seen, Weights()).sentence() == "unobserved");
  Reasons reasons;
  reasons.add_term(kSigns.back().term(seen, Weights()));
  CHECK(reasons.sentence(0) == "claims to be exim +3.0");
  CHECK(print_why(reasons) == "claims-to-be-exim:+3.0");
}

TEST_CASE("the classifier's README lists the signs with their weights and reasons") {
  std::vector<Listed> listed;
  for (const std::string& line : section("classifier/README.md", "## Score", "## ")) {
    if (!line.starts_with("| `")) continue;
    const auto row = cells(line);
    REQUIRE(row.size() >= 3);
    listed.push_back({row[0], row[1], row[2]});
  }
  CHECK(listed == all_signs(true));
}

TEST_CASE("segmilter.toml(5) lists the signs with their weights") {
  std::vector<Listed> listed;
  const std::string page = "packaging/man/segmilter.toml.5";
  for (std::string line : section(page, ".SS [weights]", ".SS ")) {
    for (auto at = line.find('\\'); at != line.npos; at = line.find('\\')) {
      line.erase(at, line[at + 1] == '&' ? 2 : 1);
    }
    constexpr std::string_view kDefault = "Default: ";
    if (line.starts_with(".B ")) listed.push_back({line.substr(3), "", ""});
    if (!line.starts_with(kDefault)) continue;
    REQUIRE_FALSE(listed.empty());
    listed.back().weight = line.substr(kDefault.size(), line.size() - kDefault.size() - 1);
  }
  CHECK(listed == all_signs(false));
}

TEST_CASE("segmilter.toml lists the signs with their weights") {
  std::vector<Listed> listed;
  for (const std::string& line : section("packaging/segmilter.toml", "[weights]", "[")) {
    const auto equals = line.find(" = ");
    if (line.starts_with('#') || equals == line.npos) continue;
    listed.push_back({line.substr(0, equals), line.substr(equals + 3), ""});
  }
  CHECK(listed == all_signs(false));
}
