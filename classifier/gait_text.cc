// The text of entries. It is read line by line into a book, and a printed entry can be read again.
// segmilter-gait(5) has the grammar. Pure functions; any thread.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "classifier/dialogue_words.h"
#include "classifier/enum_names.h"
#include "classifier/gait.h"
#include "text/lines.h"
#include "text/number.h"

namespace classifier {
namespace {

using text::kBlanks;
using text::take_line;
using text::trimmed;

constexpr auto kClasses =
    std::to_array<std::string_view>({"official-mta", "relay", "library", "agent", "script", "bot"});
constexpr auto kBases =
    std::to_array<std::string_view>({"recorded", "slides", "source", "assumed"});
constexpr auto kBodies = std::to_array<std::string_view>({"any", "bulk", "lines"});
constexpr auto kDots =
    std::to_array<std::string_view>({"any", "joined", "3", "5", "3-alone", "apart"});
constexpr auto kNagle = std::to_array<std::string_view>({"any", "yes", "no"});
// In the order of the bits of First.
constexpr auto kFirsts =
    std::to_array<std::string_view>({"none", "line", "line-bare", "field", "header-line",
                                     "header-bare", "header", "edge", "inside", "body", "grid"});

std::string_view take(std::string_view& text) {
  text = trimmed(text);
  const std::string_view word = text.substr(0, text.find_first_of(kBlanks));
  text.remove_prefix(word.size());
  return word;
}

// Reads one file. The first error is kept in `reason`; add() counts the lines.
class Parser {
 public:
  std::vector<Gait> gaits;
  std::string reason;

  bool line(std::string_view text) {
    const std::string_view key = take(text);
    if (key.empty() || key.front() == '#') return true;
    if (key == "gait") {
      const std::string_view name = take(text);
      return begin(name, trimmed(text));
    }
    if (gaits.empty()) return fail("an entry begins with: gait NAME");
    return setting(key, trimmed(text));
  }

  bool finish() {
    if (gaits.empty()) return true;
    if (!has_first_ && !gaits.back().talk_is_enough) {
      return fail(fmt::format("{} has no \"first\"", gaits.back().name));
    }
    finish_entry(gaits.back());
    return true;
  }

 private:
  bool fail(std::string why) {
    if (reason.empty()) reason = std::move(why);
    return false;
  }

  bool begin(std::string_view name, std::string_view rest) {
    if (!finish()) return false;
    if (!is_gait_name(name) || !rest.empty()) {
      return fail("a name has 1 to 24 characters a-z, 0-9 or -, and is not \"unknown\"");
    }
    const auto same = [&](const Gait& gait) { return gait.name == name; };
    if (std::any_of(gaits.begin(), gaits.end(), same)) return fail("a second entry of this name");
    if (gaits.size() == GaitBook::kMaxGaits) return fail("too many entries");
    gaits.emplace_back();
    gaits.back().name = name;
    has_first_ = false;
    allowed_ = 0;
    return true;
  }

  // Words that the entry does not name must not be there, except circumstances.
  void finish_entry(Gait& gait) {
    if (((gait.required | allowed_) & kSizes) != 0) {
      allowed_ |= bit_of("size");
      gait.forbidden &= ~bit_of("size");
    }
    gait.forbidden |= (kHabits | kExtensions) & ~gait.required & ~allowed_;
  }

  template <typename Enum, std::size_t N>
  bool choice(const std::array<std::string_view, N>& names, std::string_view text, Enum& value) {
    const auto found = find<Enum>(names, text);
    if (!found) return fail(fmt::format("should be one of {}", fmt::join(names, ", ")));
    value = *found;
    return true;
  }

  bool hellos(std::string_view value, Gait& gait) {
    for (std::string_view hello = take(value); !hello.empty(); hello = take(value)) {
      if (hello.size() != kJa4Size) return fail("a JA4 fingerprint has 36 characters");
      if (gait.hellos.size() == Gait::kMaxHellos) return fail("too many JA4 fingerprints");
      std::copy_n(hello.begin(), kJa4Size, gait.hellos.emplace_back().begin());
    }
    return true;
  }

  bool setting(std::string_view key, std::string_view value) {
    Gait& gait = gaits.back();
    if (value.empty()) return fail(fmt::format("{} needs a value", key.substr(0, 40)));
    if (key == "class") return choice(kClasses, value, gait.kind);
    if (key == "basis") return choice(kBases, value, gait.basis);
    if (key == "body") return choice(kBodies, value, gait.body);
    if (key == "dot") return choice(kDots, value, gait.dot);
    if (key == "held") return choice(kNagle, value, gait.nagle);
    if (key == "hello") return hellos(value, gait);
    if (key == "talk") return each(value, [&](std::string_view word) { return talk(gait, word); });
    if (key == "first") {
      has_first_ = true;
      return each(value, [&](std::string_view word) { return first(gait, word); });
    }
    if (key == "programs") {
      return each(value, [&](std::string_view word) {
        gait.programs.emplace_back(word);
        return true;
      });
    }
    if (key == "seen") {
      gait.seen += gait.seen.empty() ? "" : " ";
      gait.seen += value;
      return true;
    }
    if (key == "enough") {
      gait.talk_is_enough = value == "talk";
      return gait.talk_is_enough || fail("should be: enough talk");
    }
    return fail(fmt::format("unknown key {}", key.substr(0, 40)));
  }

  template <typename Take>
  bool each(std::string_view words, Take take_word) {
    while (!trimmed(words).empty()) {
      if (!take_word(take(words))) return false;
    }
    return true;
  }

  bool talk(Gait& gait, std::string_view word) {
    if (word == "helo" || word == "ehlo" || word == "helo|ehlo") {
      gait.helo = word != "ehlo";
      gait.ehlo = word != "helo";
      return true;
    }
    const char sign = word.empty() ? '\0' : word.front();
    const std::string_view bare = sign == '-' || sign == '?' ? word.substr(1) : word;
    const std::uint32_t bit = bit_of(bare);
    if (bit == 0) return fail(fmt::format("unknown word {} in talk", bare.substr(0, 40)));
    (sign == '-' ? gait.forbidden : sign == '?' ? allowed_ : gait.required) |= bit;
    return (gait.required & gait.forbidden) == 0 ||
           fail(fmt::format("{} is both required and forbidden", bare));
  }

  bool number(std::string_view text, std::uint32_t& value) {
    constexpr std::uint32_t kLeast = 256;
    constexpr std::uint32_t kMost = 1 << 20;
    const auto read = text::number<std::uint32_t>(text);
    if (!read) return fail("a block is a number of bytes");
    if (*read < kLeast || *read > kMost) return fail("a block has 256 to 1048576 bytes");
    value = *read;
    return true;
  }

  bool first(Gait& gait, std::string_view word) {
    constexpr std::string_view kBlock = "block-";
    constexpr std::string_view kLines = "lines-";
    const bool lines = word.starts_with(kLines);
    if (lines || word.starts_with(kBlock)) {
      auto& blocks = lines ? gait.line_blocks : gait.blocks;
      const auto unused = std::find(blocks.begin(), blocks.end(), 0U);
      if (unused == blocks.end()) return fail("at most four blocks of a kind");
      return number(word.substr(kBlock.size()), *unused);
    }
    const auto* found = std::find(kFirsts.begin(), kFirsts.end(), word);
    if (found == kFirsts.end()) {
      return fail(fmt::format("should be one of {}, block-N, lines-N", fmt::join(kFirsts, ", ")));
    }
    gait.first = static_cast<std::uint16_t>(gait.first | 1U << (found - kFirsts.begin()));
    return true;
  }

  bool has_first_ = false;
  std::uint32_t allowed_ = 0;
};

}  // namespace

std::string_view name(GaitClass kind) {
  return word(kClasses, kind);
}

std::string_view name(Basis basis) {
  return word(kBases, basis);
}

std::optional<GaitError> GaitBook::add(std::string_view text) {
  if (text.size() > kMaxText) return GaitError{1, "the file is too large"};
  Parser parser;
  std::size_t number = 0;
  while (!text.empty()) {
    ++number;
    if (!parser.line(take_line(text))) return GaitError{number, parser.reason};
  }
  if (!parser.finish()) return GaitError{number, parser.reason};
  for (const Gait& gait : parser.gaits) {
    if (find(gait.name) != nullptr) {
      return GaitError{number,
                       fmt::format("there is already an entry with the name {}", gait.name)};
    }
  }
  if (gaits_.size() + parser.gaits.size() > kMaxGaits) return GaitError{number, "too many entries"};
  gaits_.insert(gaits_.end(), parser.gaits.begin(), parser.gaits.end());
  return std::nullopt;
}

namespace {

// For example "talk ehlo rcpt-ahead ?8bit".
std::string talk_line(const Gait& gait) {
  std::string text = gait.ehlo && gait.helo ? "talk helo|ehlo"
                     : gait.helo            ? "talk helo"
                                            : "talk ehlo";
  for (const DialogueWord& row : kDialogueWords) {
    const std::uint32_t bit = bit_of(row.word);
    if (bit == 0) continue;
    const bool free = row.kind == DialogueWord::Kind::Circumstance;
    const bool allowed = (gait.forbidden & bit) == 0;
    if ((gait.required & bit) != 0) {
      text += fmt::format(" {}", row.word);
    } else if (free != allowed) {
      text += fmt::format(" {}{}", free ? '-' : '?', row.word);
    }
  }
  return text;
}

// For example "first none block-8192"; empty if the entry has none.
std::string first_line(const Gait& gait) {
  std::string first;
  for (std::size_t i = 0; i < kFirsts.size(); ++i) {
    if ((gait.first & 1U << i) != 0) first += fmt::format(" {}", kFirsts[i]);
  }
  for (const std::uint32_t block : gait.blocks) {
    if (block != 0) first += fmt::format(" block-{}", block);
  }
  for (const std::uint32_t block : gait.line_blocks) {
    if (block != 0) first += fmt::format(" lines-{}", block);
  }
  return first.empty() ? first : "first" + first;
}

}  // namespace

std::string print(const Gait& gait) {
  std::string text = fmt::format("gait {}\n  class {}\n", gait.name, name(gait.kind));
  if (!gait.programs.empty()) text += fmt::format("  programs {}\n", fmt::join(gait.programs, " "));
  text += fmt::format("  basis {}\n", name(gait.basis));
  if (!gait.seen.empty()) text += fmt::format("  seen {}\n", gait.seen);
  text += fmt::format("  {}\n", talk_line(gait));
  if (gait.talk_is_enough) text += "  enough talk\n";
  const std::string first = first_line(gait);
  if (!first.empty()) text += fmt::format("  {}\n", first);
  const auto way = [&](std::string_view key, std::string_view value) {
    if (value != "any") text += fmt::format("  {} {}\n", key, value);
  };
  way("body", word(kBodies, gait.body));
  way("dot", word(kDots, gait.dot));
  way("held", word(kNagle, gait.nagle));
  for (const auto& hello : gait.hellos) {
    text += fmt::format("  hello {}\n", std::string_view(hello.data(), hello.size()));
  }
  return text;
}

}  // namespace classifier
