// Prints one JSON object on each line, one for each message. Users' scripts read them, so keys may
// be added but must not be changed or removed.
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "classifier/trace_text.h"
#include "milter/offline/report.h"
#include "milter/time/rfc3339.h"

namespace offline {
namespace {

using nlohmann::ordered_json;

// Rounds to three decimals, so that 0.97 is not printed as 0.969999999.
double rounded(double value) {
  constexpr double kPlaces = 1000;
  return std::round(value * kPlaces) / kPlaces;
}

ordered_json endpoint(const net::Endpoint& end) {
  return end.port() == 0 ? ordered_json(nullptr) : ordered_json(end.print());
}

ordered_json to_json(const Result& result) {
  const auto& trace = result.trace;
  const auto& verdict = result.verdict;
  std::vector<std::uint32_t> segments;
  segments.reserve(trace.segments.size());
  for (const auto& segment : trace.segments) segments.push_back(segment.size);
  ordered_json row;
  row["file"] = result.file;
  row["number"] = result.number;
  row["client"] = endpoint(result.client);
  row["server"] = endpoint(result.server);
  row["helo"] = result.helo.empty() ? ordered_json(nullptr) : ordered_json(result.helo);
  row["message"] = result.message;
  row["time"] = result.time_ns == 0 ? ordered_json(nullptr)
                                    : ordered_json(rfc3339::print_time(result.time_ns));
  row["pattern"] = classifier::name(verdict.pattern);
  row["writer"] = classifier::name(verdict.writer);
  row["path"] = classifier::name(verdict.path);
  row["confidence"] = rounded(verdict.confidence);
  row["score"] = rounded(verdict.score);
  row["action"] = classifier::name(result.decision.action);
  row["would"] = classifier::name(result.decision.would);
  row["gait"] = verdict.gait;
  row["class"] = verdict.unnamed_class() ? ordered_json(classifier::name(*verdict.unnamed_class()))
                                         : ordered_json(nullptr);
  row["block"] = verdict.block;
  row["mss"] = verdict.mss;
  row["tls"] = trace.tls;
  row["window"] = classifier::name(trace.window);
  row["chunking"] = trace.transfer == classifier::Transfer::Bdat;
  row["size"] = trace.size;
  row["header_size"] = trace.landmarks.header_end;
  row["segments"] = segments;
  row["writes"] = verdict.writes;
  row["state"] = classifier::name(trace.state);
  row["reason"] = classifier::name(trace.reason);
  row["reasons"] = verdict.reasons.sentences();
  row["trace"] = classifier::print(trace);
  return row;
}

class JsonlReport final : public Report {
 public:
  explicit JsonlReport(std::FILE* out) : out_(out) {}

  void message(const Result& result) override {
    // JSON has to be UTF-8, but a file's name may contain other bytes; they are replaced.
    fmt::print(out_, "{}\n",
               to_json(result).dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  }

 private:
  std::FILE* out_;
};

}  // namespace

std::unique_ptr<Report> jsonl_report(std::FILE* out) {
  return std::make_unique<JsonlReport>(out);
}

}  // namespace offline
