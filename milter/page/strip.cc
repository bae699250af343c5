#include "milter/page/strip.h"

#include <algorithm>

namespace page {

std::vector<std::uint64_t> write_ends(const classifier::Trace& trace,
                                      const classifier::Verdict& verdict) {
  std::vector<std::uint64_t> ends;
  ends.reserve(verdict.writes.size());
  std::uint64_t at = 0;
  for (const std::uint32_t size : verdict.writes) ends.push_back(at += size);
  if (trace.records.empty() || at == 0) return ends;
  const double scale = static_cast<double>(segments_size(trace)) / static_cast<double>(at);
  for (auto& end : ends) end = static_cast<std::uint64_t>(static_cast<double>(end) * scale + 0.5);
  return ends;
}

std::string strip(const classifier::Trace& trace, const classifier::Verdict& verdict,
                  std::size_t width) {
  const std::uint64_t total = segments_size(trace);
  if (total == 0 || width == 0) return {};
  // One character stands for 48 bytes, or for more bytes if the message is long. 48 is chosen so
  // that short messages look short: the width of 92 is reached at about 4 KB.
  constexpr std::uint64_t kBytes = 48;
  const std::uint64_t columns =
      std::clamp<std::uint64_t>(total / kBytes + trace.segments.size(), 1, width);
  const auto column = [&](std::uint64_t offset) {  // the character that holds the byte before it
    return static_cast<std::size_t>((std::min(offset, total) - 1) * columns / total);
  };
  std::string line(static_cast<std::size_t>(columns), '-');
  std::uint64_t at = 0;
  for (const auto& segment : trace.segments) {
    const std::size_t begin = column(at + 1);
    at += segment.size;
    const std::size_t end = column(at);
    const char bytes = segment.resent ? '=' : segment.late ? '~' : '-';
    if (bytes != '-') std::fill(line.begin() + begin, line.begin() + end + 1, bytes);
    if (segment.hole) line[begin] = '?';
    if (line[end] != '?') line[end] = '+';
  }
  for (const std::uint64_t end : write_ends(trace, verdict)) {
    if (end != 0 && end <= total) line[column(end)] = '|';
  }
  return line;
}

}  // namespace page
