#include "milter/filter/shown.h"

#include <cstdint>
#include <utility>

#include "classifier/smtp_words.h"
#include "classifier/stream.h"
#include "text/ascii.h"

namespace filter {

void Shown::rcpt(std::string_view path) {
  if (rcpt_ != 0) sizes_.envelope.add_rcpt(rcpt_);
  rcpt_ = path.size();
}

classifier::ShownSizes Shown::sizes() const {
  classifier::ShownSizes sizes = sizes_;
  if (mail_ != 0) sizes.envelope.add_mail(mail_);
  if (rcpt_ != 0) sizes.envelope.add_rcpt(rcpt_);
  sizes.fields = classifier::field_sizes(marks_);
  return sizes;
}

void Shown::header(std::string_view name, std::string_view value, bool blank_taken) {
  constexpr std::string_view kReceived = "Received";
  std::uint64_t at = marks_.header_end + name.size() + 1 + (blank_taken ? 1 : 0);
  std::size_t begin = 0;
  for (std::size_t lf = 0; (lf = value.find('\n', begin)) != value.npos; begin = lf + 1) {
    at += lf - begin + kCrLf;
    if (marks_.folds.size() < classifier::Landmarks::kMaxFields) {
      marks_.folds.push_back(static_cast<std::uint32_t>(at));
    }
  }
  at += value.size() - begin + kCrLf;
  const auto end = classifier::to_u32(at);
  if (marks_.fields.size() < classifier::Landmarks::kMaxFields) {
    marks_.fields.push_back({end, text::same(name, kReceived)});
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
  return classifier::size_by(transfer, sizes_);
}

classifier::Landmarks Shown::landmarks(classifier::Transfer transfer,
                                       const classifier::Added& added) const {
  constexpr std::uint8_t kDotLine = 3;
  classifier::Landmarks marks;
  marks.terminator = transfer == classifier::Transfer::Data ? kDotLine : 0;
  std::uint32_t gone = 0;   // bytes of added fields so far
  std::uint32_t begin = 0;  // first byte of the field, as shown
  const auto& fields = marks_.fields;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const std::uint32_t end = fields[i].end;
    if (i < added.top || i + added.end >= fields.size() || i == added.lone) {
      gone += end - begin;
    } else {
      marks.fields.push_back({end - gone, fields[i].received});
      for (const std::uint32_t fold : marks_.folds) {
        if (fold > begin && fold < end) marks.folds.push_back(fold - gone);
      }
    }
    begin = end;
  }
  marks.header_end = marks_.header_end - gone;
  const bool blank = added.blank || !fields.empty();
  marks.body_begin = marks.header_end + (blank ? std::uint32_t{kCrLf} : 0);
  const std::uint32_t fold = marks.folds.empty() ? 0 : marks.folds.front();
  const std::uint32_t field = marks.fields.empty() ? 0 : marks.fields.front().end;
  marks.first_line_end = fold != 0 && fold < field ? fold : field;
  return marks;
}

}  // namespace filter
