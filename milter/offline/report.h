// What prints results. classify_command calls begin() once, message() for each message as it comes,
// end() once; nothing is kept of a message, so that a capture of any size can be printed. One
// thread.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>

#include "milter/offline/offline.h"

namespace offline {

// What the page's overview is sorted by; messages that are alike stay in the capture's order.
enum class SortBy : std::uint8_t { Capture, Time, Score, Pattern, Client };

class Report {
 public:
  virtual ~Report() = default;
  virtual void begin() {}
  virtual void message(const Result& result) = 0;
  virtual void end() {}
};

// Each writes to `out`, which outlives it.
std::unique_ptr<Report> text_report(std::FILE* out, bool colours);  // report_text.cc
std::unique_ptr<Report> jsonl_report(std::FILE* out);               // report_jsonl.cc
std::unique_ptr<Report> html_report(std::FILE* out, SortBy sort);   // report_html.cc

}  // namespace offline
