// One sentence and one word for each reason. Pure; any thread.
#include "classifier/reasons.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "classifier/enum_names.h"
#include "text/ascii.h"

namespace classifier {
namespace {

struct Wording {
  Because because;
  std::string_view word;  // in `why=`
  std::string_view sentence;
};

// {0} {1} {2}: the numbers. {3}: "s", or nothing if the first number is 1. {4}: the text, or the
// sentence of a term. {5}: the weight of a term.
constexpr Wording kWordings[] = {
    {Because::Text, "{4}", "{4}"},
    {Because::Term, "{4}:{5:+.1f}", "{4} {5:+.1f}"},
    {Because::BlockEnds, "block-ends:{0}/{1}/{2}", "{0} of {1} write ends are multiples of {2}"},
    {Because::FirstAtLine, "first-line:{0}",
     "first write ends at byte {0}, the end of the first line"},
    {Because::FirstAtField, "first-field:{0}",
     "first write ends at byte {0}, the end of the first field"},
    {Because::FirstAtHeaderLine, "header-line:{0}",
     "first write ends at byte {0}, the end of a header line"},
    {Because::FirstAtHeaderEnd, "header-end:{0}",
     "first write ends at byte {0}, the end of the header"},
    {Because::FirstAtBody, "body-begin:{0}",
     "first write ends at byte {0}, the end of the header and its blank line"},
    {Because::FirstAtNothing, "first-nowhere:{0}",
     "first write ends at byte {0}, where nothing ends"},
    {Because::ReceivedAlone, "received-alone", "the first Received field alone, then in bulk"},
    {Because::InsideHeader, "inside-header:{0}", "{0} write{3} cut off inside a header line"},
    {Because::OddCuts, "odd-cuts:{0}", "full segments except for {0} cut{3} in the body"},
    {Because::OneSegment, "one-segment", "one segment"},
    {Because::Chunks, "chunks:{0}", "{0} BDAT chunks"},
    {Because::ReadsHide, "reads-hide:{0}", "reads joined the segments before byte {0} unevenly"},
    {Because::OneWrite, "one-write", "one write, then the end"},
    {Because::FullThenTail, "full-then-tail:{0}", "{0} full segment{3} and a tail"},
    {Because::LineBuffer, "line-buffer", "write ends at line ends below a buffer's size"},
    {Because::HeaderHole, "header-hole", "not all of the header was seen"},
    {Because::Terminator, "dot-apart", "terminator apart"},
    {Because::Encrypted, "encrypted", "encrypted: segments do not show the writes"},
    {Because::UnderTls, "by-records", "under TLS: known by the sizes of the records"},
    {Because::Near, "near:{0}",
     "not placed to the byte: {0} byte{3} more or less than the milter was shown"},
    {Because::Repaired, "repaired:{0}/{1}", "{0} of {1} segments repaired"},
    {Because::Noise, "noise:{0}/{1}/{2}", "{0} of {1} segments repaired, {2} cuts unexplained"},
    {Because::FullSizeMoves, "full-size-moves:{0}/{1}/{2}",
     "full size moves between {0} and {1}, {2}x"},
    {Because::SegmentsOf, "segments:{0}/{1}", "{0} segment{3} of {1}"},
    {Because::NoneFull, "none-full:{0}", "segments of {0} are possible, none was full"},
    {Because::Partial, "partial:{4}", "partial: {4}"},
    {Because::Relayed, "relayed:{0}",
     "a buffer of {0} bytes, which no known program with this dialogue has: that of a relay or of "
     "an unknown program"},
    {Because::ShortFlight, "short-flight:{0}",
     "the first flight had {0} bytes: the end of a larger first write does not show"},
    {Because::OneSided, "one-sided",
     "not all of the session was captured: that the server took the commands is assumed"},
    {Because::PushedBlocks, "pushed-blocks:{0}/{1}/{2}",
     "{0} of {1} full segments have PSH, exactly those in which a block of {2} ends"},
    {Because::PushedEnds, "pushed:{0}/{1}",
     "{0} of {1} full segments have PSH: writes may have ended in them"},
    {Because::Added, "{4}:{5:+.1f}/{0}/{1}", "{4} {5:+.1f} ({0} of {1} in {2} d)"},
};

// Each enumerator has one row, and the rows are in the order of the enum.
constexpr bool in_order() {
  for (std::size_t row = 0; row < std::size(kWordings); ++row) {
    if (static_cast<std::size_t>(kWordings[row].because) != row) return false;
  }
  return std::size(kWordings) == enumerators<Because>();
}
static_assert(in_order());

const Wording& wording(Because because) {
  return kWordings[static_cast<std::size_t>(because)];
}

}  // namespace

// False: there is no room. Terms that the caller adds have places of their own.
bool Reasons::take(Because because, std::uint32_t a, std::uint32_t b, std::uint32_t c,
                   bool is_added) {
  if (is_added ? added_ == kMostAdded : count_ - added_ == kMost) return false;
  if (is_added) ++added_;
  Entry& entry = entries_[count_++];
  entry.because = because;
  entry.length = 0;
  entry.weight = 0;
  entry.numbers = {a, b, c};
  return true;
}

void Reasons::add(Because because, std::uint32_t a, std::uint32_t b, std::uint32_t c) {
  (void)take(because, a, b, c, false);
}

void Reasons::add_text(Because because, std::string_view text) {
  if (!take(because, 0, 0, 0, false)) return;
  Entry& entry = entries_[count_ - 1];
  entry.length = static_cast<std::uint8_t>(std::min(text.size(), kLongestText));
  std::copy_n(text.data(), entry.length, entry.text.data());
}

void Reasons::add_term(const Term& term) {
  const auto before = count_;
  add_text(Because::Term, term.about);
  if (count_ == before) return;
  entries_[count_ - 1].sign = term.sign;
  entries_[count_ - 1].weight = static_cast<float>(term.weight);
}

void Reasons::add_added(const AddedTerm& term) {
  if (!take(Because::Added, term.bad, term.all, term.days, true)) return;
  Entry& entry = entries_[count_ - 1];
  entry.weight = static_cast<float>(term.weight);
  for (const auto part : {term.kind, std::string_view(term.name.empty() ? "" : " "), term.name}) {
    const auto size = std::min(part.size(), kLongestText - entry.length);
    std::copy_n(part.data(), size, entry.text.data() + entry.length);
    entry.length = static_cast<std::uint8_t>(entry.length + size);
  }
}

AddedTerm Reasons::added(std::size_t at) const {
  const Entry& entry = entries_[at];
  const std::string_view text(entry.text.data(), entry.length);
  const auto kind = text.substr(0, text.find(' '));
  return {.kind = kind,
          .name = text.substr(std::min(text.size(), kind.size() + 1)),
          .weight = entry.weight,
          .bad = entry.numbers[0],
          .all = entry.numbers[1],
          .days = entry.numbers[2]};
}

std::string Reasons::put(std::string_view form, std::size_t at) const {
  const Entry& entry = entries_[at];
  const auto& [a, b, c] = entry.numbers;
  std::string_view text(entry.text.data(), entry.length);
  std::string sentence;
  if (entry.because == Because::Term) {
    const bool whole = entry.sign->about == nullptr;
    text = whole ? entry.sign->sentence : sentence = term(at).sentence();
  }
  return fmt::format(fmt::runtime(form), a, b, c, a == 1 ? "" : "s", text, entry.weight);
}

Term Reasons::term(std::size_t at) const {
  const Entry& entry = entries_[at];
  return {entry.sign, entry.weight, {entry.text.data(), entry.length}};
}

std::string Reasons::word(std::size_t at) const {
  const Entry& entry = entries_[at];
  // A sign has the same name as in [weights], unless its sentence names a program too.
  const bool is_sign = entry.because == Because::Term && entry.sign->about == nullptr;
  std::string word = is_sign ? fmt::format("{}:{:+.1f}", entry.sign->key, entry.weight)
                             : put(wording(entry.because).word, at);
  // Whose network it is stands beside the word already, and once is enough.
  if (entry.because == Because::Added) {
    const auto kind = added(at).kind.size();
    word.erase(kind, entry.length - kind);
  }
  // Each word must stay one term in every place: no blank, and no character that separates terms.
  for (char& c : word) {
    if (!text::is_visible(c) || c == ',' || c == ';') c = '-';
  }
  return word;
}

std::string Reasons::sentence(std::size_t at) const {
  const Entry& entry = entries_[at];
  const std::uint32_t a = entry.numbers[0];
  if (entry.because == Because::ReadsHide && a == 0) {
    return "reads joined the segments unevenly";
  }
  if (entry.because == Because::Near && a == 0) return "not placed to the byte";
  return put(wording(entry.because).sentence, at);
}

std::vector<std::string> Reasons::sentences() const {
  std::vector<std::string> all;
  all.reserve(count_);
  for (std::size_t at = 0; at < count_; ++at) all.push_back(sentence(at));
  return all;
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
  added_ = other.added_;
  std::copy_n(other.entries_.begin(), count_, entries_.begin());
  return *this;
}

}  // namespace classifier
