#include "classifier/message_reader.h"

#include <algorithm>

namespace classifier {

void MessageReader::begin(Transfer transfer, std::uint64_t offset) {
  message_ = Message{};
  message_.transfer = transfer;
  begin_ = offset;
  headers_ = HeaderScanner(transfer);
  header_missed_ = false;
  dot_ = EndOfData{};
  tail_ = Tail::Lf;
  last_.fill('\0');
}

void MessageReader::take(std::span<const char> bytes) {
  if (bytes.empty()) return;
  headers_.feed(bytes);
  note_last(bytes);
  tail_ = tail_of(bytes.back());
  message_.size += bytes.size();
}

EndOfData::Step MessageReader::take_text(std::span<const char> bytes) {
  const EndOfData::Step step = dot_.scan(bytes);
  take(bytes.first(step.used));
  return step;
}

void MessageReader::end_span(Span span) {
  message_.spans.push_back(span);
  message_.tails.push_back(tail_);
}

// Keeps the last bytes of the message, to know the line before the dot.
void MessageReader::note_last(std::span<const char> bytes) {
  const std::size_t fresh = std::min(bytes.size(), last_.size());
  std::copy(last_.begin() + static_cast<std::ptrdiff_t>(fresh), last_.end(), last_.begin());
  std::copy(bytes.end() - static_cast<std::ptrdiff_t>(fresh), bytes.end(),
            last_.end() - static_cast<std::ptrdiff_t>(fresh));
}

Message MessageReader::finish(std::uint8_t terminator, const Dialogue& dialogue) {
  const Dialogue own = std::exchange(message_.dialogue, dialogue);
  message_.dialogue.early_data = own.early_data;
  message_.dialogue.chunks = own.chunks;
  message_.dialogue.blank_end =
      terminator != 0 && std::string_view(last_.data(), last_.size()) == kBlankEnd;
  if (!header_missed_) {
    message_.landmarks = headers_.finish();
    message_.claims = headers_.take_claims();
  }
  message_.landmarks.terminator = terminator;
  return std::exchange(message_, {});
}

}  // namespace classifier
