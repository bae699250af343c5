// The interface of the reports that print results. classify_command calls begin() once, message()
// for each message when it is found, and end() once. The text and JSON reports keep nothing of a
// message, so that they can print captures of any size. One thread.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>

#include "milter/offline/offline.h"

namespace offline {

// The order of the page's overview; equal messages stay in the capture's order.
enum class SortBy : std::uint8_t { Capture, Time, Score, Pattern, Client };

class Report {
 public:
  virtual ~Report() = default;
  virtual void begin() {}
  virtual void message(const Result& result) = 0;
  virtual void end() {}
};

// Each report writes to `out`. Requires: `out` lives longer than the report.
std::unique_ptr<Report> text_report(std::FILE* out, bool colours);  // report_text.cc
std::unique_ptr<Report> jsonl_report(std::FILE* out);               // report_jsonl.cc
std::unique_ptr<Report> html_report(std::FILE* out, SortBy sort);   // report_html.cc

}  // namespace offline
