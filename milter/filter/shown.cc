#include "milter/filter/shown.h"

#include <cstdint>
#include <utility>

#include "classifier/stream.h"
#include "classifier/words.h"

namespace filter {

void Shown::header(std::string_view name, std::string_view value, bool blank_taken) {
  constexpr std::string_view kReceived = "Received";
  std::uint64_t at = marks_.header_end + name.size() + 1 + (blank_taken ? 1 : 0);
  std::size_t begin = 0;
  for (std::size_t lf = 0; (lf = value.find('\n', begin)) != value.npos; begin = lf + 1) {
    at += lf - begin + kCrLf;
    if (marks_.first_line_end == 0) marks_.first_line_end = static_cast<std::uint32_t>(at);
    if (marks_.folds.size() < classifier::Landmarks::kMaxFields) {
      marks_.folds.push_back(static_cast<std::uint32_t>(at));
    }
  }
  at += value.size() - begin + kCrLf;
  const auto end = classifier::to_u32(at);
  if (marks_.first_line_end == 0) marks_.first_line_end = end;
  if (marks_.fields.size() < classifier::Landmarks::kMaxFields) {
    marks_.fields.push_back({end, classifier::same_word(name, kReceived)});
  }
  marks_.header_end = end;
  sizes_.header = std::uint64_t{end} + kCrLf;
}

void Shown::body(std::string_view bytes) {
  if (!sizes_.body) return;
  *sizes_.body += bytes.size();
  while (!bytes.empty()) {
    if (line_begins_ && bytes.front() == '.') ++sizes_.dots;
    const std::size_t lf = bytes.find('\n');
    line_begins_ = lf != bytes.npos;
    const std::size_t some = line_begins_ ? lf + 1 : bytes.size();
    line_ += some;
    if (line_begins_) last_line_ = std::exchange(line_, 0);
    bytes.remove_prefix(some);
  }
}

std::optional<std::uint64_t> Shown::size(classifier::Transfer transfer) const {
  if (!sizes_.body) return std::nullopt;
  return transfer == classifier::Transfer::Data ? classifier::size_by_data(sizes_)
                                                : classifier::size_by_bdat(sizes_);
}

classifier::Landmarks Shown::landmarks(classifier::Transfer transfer) const {
  constexpr std::uint8_t kDotLine = 3;
  classifier::Landmarks marks = marks_;
  marks.body_begin = marks.header_end + kCrLf;
  marks.terminator = transfer == classifier::Transfer::Data ? kDotLine : 0;
  return marks;
}

}  // namespace filter
