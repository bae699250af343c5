// One sentence each. Pure; any thread.
#include "classifier/reasons.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/ascii.h"

namespace classifier {
namespace {

// {0} {1} {2}: the numbers; {3}: "s" unless the first is one; {4}: the text; {5}: the weight.
constexpr std::array<std::string_view, 32> kSentences = {
    "{4}",
    "{4} {5:+.1f}",
    "{0} of {1} write ends are multiples of {2}",
    "first write ends at byte {0}, the end of the first line",
    "first write ends at byte {0}, the end of the first field",
    "first write ends at byte {0}, the end of a header line",
    "first write ends at byte {0}, the end of the header",
    "first write ends at byte {0}, the end of the header and its blank line",
    "first write ends at byte {0}, where nothing ends",
    "the first Received field alone, then in bulk",
    "{0} write{3} cut off inside a header line",
    "full segments but for {0} cut{3} in the body",
    "one segment",
    "{0} BDAT chunks",
    "reads joined the segments in front of byte {0} unevenly",
    "one write, then the end",
    "{0} full segment{3} and a tail",
    "write ends at line ends below a buffer's size",
    "not all of the header was seen",
    "terminator apart",
    "encrypted: segments do not show the writes",
    "under TLS: told by the sizes of the records",
    "not placed to the byte: {0} byte{3} more or less than was shown",
    "{0} of {1} segments repaired",
    "{0} of {1} segments repaired, {2} cuts unexplained",
    "full size moves between {0} and {1}, {2}x",
    "{0} segment{3} of {1}",
    "segments of {0} are possible, none was full",
    "partial: {4}",
    "a buffer of {0}, which no known program with this dialogue has: a relay's, or of another "
    "program",
    "the first flight had {0} bytes: the end of a larger first write does not show",
    "not all of the session was captured: that the server took the commands is assumed",
};

// The same numbers, as words of `why=`.
constexpr std::array<std::string_view, kSentences.size()> kWords = {
    "{4}",
    "{4}:{5:+.1f}",
    "block-ends:{0}/{1}/{2}",
    "first-line:{0}",
    "first-field:{0}",
    "header-line:{0}",
    "header-end:{0}",
    "body-begin:{0}",
    "first-nowhere:{0}",
    "received-alone",
    "inside-header:{0}",
    "odd-cuts:{0}",
    "one-segment",
    "chunks:{0}",
    "reads-hide:{0}",
    "one-write",
    "full-then-tail:{0}",
    "line-buffer",
    "header-hole",
    "dot-apart",
    "encrypted",
    "by-records",
    "near:{0}",
    "repaired:{0}/{1}",
    "noise:{0}/{1}/{2}",
    "full-size-moves:{0}/{1}/{2}",
    "segments:{0}/{1}",
    "none-full:{0}",
    "partial:{4}",
    "relayed:{0}",
    "short-flight:{0}",
    "one-sided",
};

}  // namespace

void Reasons::add(Because because, std::uint32_t a, std::uint32_t b, std::uint32_t c) {
  if (count_ == kMost) return;
  Entry& entry = entries_[count_++];
  entry.because = because;
  entry.length = 0;
  entry.weight = 0;
  entry.numbers = {a, b, c};
}

void Reasons::add_text(Because because, std::string_view text, double weight) {
  if (count_ == kMost) return;
  add(because);
  Entry& entry = entries_[count_ - 1];
  entry.weight = static_cast<float>(weight);
  entry.length = static_cast<std::uint8_t>(std::min(text.size(), kLongestText));
  std::copy_n(text.data(), entry.length, entry.text.data());
}

std::string Reasons::put(std::string_view form, const Entry& entry) {
  const auto& [a, b, c] = entry.numbers;
  return fmt::format(fmt::runtime(form), a, b, c, a == 1 ? "" : "s",
                     std::string_view(entry.text.data(), entry.length), entry.weight);
}

Reasons::Term Reasons::term(std::size_t at) const {
  const Entry& entry = entries_[at];
  return {std::string_view(entry.text.data(), entry.length), entry.weight};
}

std::string Reasons::word(std::size_t at) const {
  const Entry& entry = entries_[at];
  const auto which = static_cast<std::size_t>(entry.because);
  std::string word = which < kWords.size() ? put(kWords[which], entry) : "?";
  // One word is one term, wherever it stands: no blank, no sign that separates.
  for (char& c : word) {
    if (!text::is_visible(c) || c == ',' || c == ';') c = '-';
  }
  return word;
}

std::string Reasons::operator[](std::size_t at) const {
  const Entry& entry = entries_[at];
  const auto which = static_cast<std::size_t>(entry.because);
  if (which >= kSentences.size()) return "?";
  const std::uint32_t a = entry.numbers[0];
  if (entry.because == Because::ReadsHide && a == 0) {
    return "reads joined the segments unevenly";
  }
  if (entry.because == Because::Near && a == 0) return "not placed to the byte";
  return put(kSentences[which], entry);
}

std::string print_why(const Reasons& reasons, std::size_t most) {
  constexpr std::size_t kRoomForCount = 4;  // ",+20"
  std::string text;
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    const std::string word = reasons.word(i);
    const bool last = i + 1 == reasons.size();
    const std::size_t room = last ? most : most - std::min(most, kRoomForCount);
    if (text.size() + (text.empty() ? 0 : 1) + word.size() > room) {
      return text + fmt::format("{}+{}", text.empty() ? "" : ",", reasons.size() - i);
    }
    text += (text.empty() ? "" : ",") + word;
  }
  return text;
}

Reasons& Reasons::operator=(const Reasons& other) {
  if (this == &other) return *this;
  count_ = other.count_;
  std::copy_n(other.entries_.begin(), count_, entries_.begin());
  return *this;
}

}  // namespace classifier
