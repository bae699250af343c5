// The JSON form of an evaluation. Its keys must not change (evaluate_report.h has them): scripts
// and the corpus test read them.
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "milter/offline/evaluate_report.h"

namespace offline {
namespace {

using nlohmann::json;

json as_json(std::optional<double> value) {
  return value ? json(*value) : json(nullptr);
}

json as_json(const Rate& rate) {
  const Interval interval = rate.wilson();
  return {{"hits", rate.hits},
          {"of", rate.n},
          {"value", as_json(rate.value())},
          {"low", interval.low},
          {"high", interval.high}};
}

json as_json(const std::vector<Figure>& figures) {
  json all = json::array();
  for (const Figure& figure : figures) {
    json one = {{"name", figure.name},
                {"what", figure.what},
                {"value", as_json(figure.value)},
                {"of", figure.n},
                {"better", figure.higher_is_better ? "higher" : "lower"},
                {"target", as_json(figure.target)},
                {"met", figure.met()}};
    if (figure.interval) {
      one["low"] = figure.interval->low;
      one["high"] = figure.interval->high;
    }
    all.push_back(std::move(one));
  }
  return all;
}

json as_json(const Confusion& confusion) {
  json counts = json::array();
  const int classes = static_cast<int>(confusion.names().size());
  const auto name = [&](int i) {
    return i == Confusion::kNone ? json(nullptr)
                                 : json(confusion.names()[static_cast<std::size_t>(i)]);
  };
  for (int truth = Confusion::kNone; truth < classes; ++truth) {
    for (int answer = Confusion::kNone; answer < classes; ++answer) {
      if (confusion.at(truth, answer) == 0) continue;
      counts.push_back({{"truth", name(truth)},
                        {"answer", name(answer)},
                        {"messages", confusion.at(truth, answer)}});
    }
  }
  json per_class = json::array();
  for (const ClassScore& score : confusion.classes()) {
    per_class.push_back({{"name", score.name},
                         {"support", score.support},
                         {"answered", score.answered},
                         {"right", score.right},
                         {"precision", score.precision},
                         {"recall", score.recall},
                         {"f1", score.f1}});
  }
  return {{"accuracy", as_json(confusion.accuracy())},
          {"macro_f1", as_json(confusion.macro_f1())},
          {"confusion", counts},
          {"classes", per_class}};
}

json as_json(const Calibration& calibration) {
  json bins = json::array();
  for (const auto& bin : calibration.bins()) {
    bins.push_back({{"claimed", bin.confidence}, {"right", as_json(bin.right)}});
  }
  return {{"ece", as_json(calibration.ece())}, {"bins", bins}};
}

json as_json(const Score& score) {
  return {{"messages", score.messages},
          {"writer", as_json(score.writer)},
          {"path", as_json(score.path)},
          {"pattern", as_json(score.pattern)},
          {"one_segment", as_json(score.one_segment)},
          {"block", as_json(score.block)},
          {"gait", as_json(score.gait)},
          {"gait_elsewhere", as_json(score.gait_elsewhere)},
          {"gait_unknown", as_json(score.gait_unknown)},
          {"calibration", as_json(score.calibration)}};
}

json as_json(const TruthRow& truth) {
  return {{"file", truth.file},        {"message", truth.message},
          {"sender", truth.sender},    {"class", truth.sender_class},
          {"link", truth.link},        {"kind", truth.kind},
          {"tls", truth.tls},          {"writer", join(truth.writers)},
          {"path", join(truth.paths)}, {"pattern", join(truth.patterns)},
          {"block", truth.block}};
}

json as_json(const Answer& answer) {
  return {{"pattern", classifier::name(answer.pattern)},
          {"writer", classifier::name(answer.writer)},
          {"path", classifier::name(answer.path)},
          {"block", answer.block},
          {"confidence", answer.confidence},
          {"score", answer.score},
          {"gait", answer.gait},
          {"class", answer.gait_class ? json(classifier::name(*answer.gait_class)) : json(nullptr)},
          {"gait_left_out", answer.gait_left_out},
          {"reasons", answer.reasons},
          {"trace", answer.trace}};
}

json as_json(const Judged& judged) {
  return {{"truth", as_json(judged.truth)},
          {"answer", judged.answer ? as_json(*judged.answer) : json(nullptr)}};
}

json as_json(const Mistake& mistake) {
  json one = {{"truth", as_json(mistake.truth)}, {"answer", as_json(mistake.answer)}};
  for (const auto& [wrong, axis] : {std::pair{mistake.pattern, "pattern"},
                                    {mistake.writer, "writer"},
                                    {mistake.path, "path"},
                                    {mistake.block, "block"}}) {
    if (wrong) one["wrong"].push_back(axis);
  }
  return one;
}

json as_json(const GaitMistake& mistake) {
  return {{"sender", mistake.sender}, {"gait", mistake.answer}, {"messages", mistake.messages}};
}

json as_json(const Extra& extra) {
  return {{"file", extra.file}, {"message", extra.message}, {"answer", as_json(extra.answer)}};
}

json as_json(const ClassAlarms& alarms) {
  return {{"class", alarms.sender_class},
          {"bot", as_json(alarms.bot)},
          {"tempfail", as_json(alarms.tempfail)},
          {"reject", as_json(alarms.reject)}};
}

json as_json(const LinkScore& link) {
  json one = as_json(link.score);
  one["link"] = link.link;
  one["clean"] = is_clean(link.link);
  one["official_alarms"] = link.official_alarms;
  return one;
}

template <typename Value>
json list(const std::vector<Value>& values) {
  json all = json::array();
  for (const Value& value : values) all.push_back(as_json(value));
  return all;
}

}  // namespace

std::string print_json(const Evaluation& all) {
  const json whole = {{"messages", all.messages},
                      {"figures", as_json(all.figures)},
                      {"clear", as_json(all.clear)},
                      {"clean", as_json(all.clean)},
                      {"tls", as_json(all.tls)},
                      {"tls_twins", as_json(all.twins)},
                      {"links", list(all.links)},
                      {"false_alarms", list(all.alarms)},
                      {"official_alarms", list(all.official_alarms)},
                      {"mistakes", list(all.mistakes)},
                      {"gait_mistakes", list(all.gait_mistakes)},
                      {"gaits_left_out", list(all.gaits_left_out)},
                      {"missing", list(all.missing)},
                      {"extra", list(all.extra)}};
  return whole.dump(1, ' ', false, json::error_handler_t::replace) + '\n';
}

}  // namespace offline
