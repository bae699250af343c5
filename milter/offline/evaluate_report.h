// Prints an evaluation for people (text, HTML) and for programs (JSON). Each function returns the
// whole output as one string. Pure; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "milter/offline/evaluate.h"

namespace offline {

// The largest number of mistakes that text and HTML show with their traces; the others are only
// counted. JSON has all of them.
inline constexpr std::size_t kWorstMistakes = 12;

std::string print_text(const Evaluation& evaluation);

// One object: figures (an array of name, value, n, low, high, better, target, met),
// links, axes (confusion, classes), calibration, false_alarms, official_alarms, tls, mistakes,
// gait_mistakes, gaits_left_out, missing, extra, messages. A value is `null` if there was no
// message to measure it on.
std::string print_json(const Evaluation& evaluation);

// One page that needs no other file: it has no script, and its pictures are inline SVG.
std::string print_html(const Evaluation& evaluation);

// The parts that text and HTML print in their own ways. outline() puts them into the sections of a
// report, whose order is the same for both.
struct Form {
  std::string (*figures)(const std::vector<Figure>&);
  std::string (*links)(const Evaluation&);
  std::string (*confusion)(const Confusion&);
  std::string (*calibration)(const Calibration&);
  std::string (*alarms)(const Evaluation&);
  std::string (*gait_mistakes)(const std::vector<GaitMistake>&);
  std::string (*mistakes)(const std::vector<Mistake>&);
  std::string (*lost)(const Evaluation&);  // messages that are missing, or too many
};
struct Section {
  std::string title;
  std::string content;
};
std::vector<Section> outline(const Evaluation& evaluation, const Form& form);

std::string print_value(const Figure& figure);         // "0.987", "3", "-"
std::string print_interval(const Figure& figure);      // "0.961–0.995"; empty if there is none
std::string print_target(const Figure& figure);        // "≥ 0.98"; empty if there is none
std::string print_rate(const Rate& rate);              // "12/13", "-"
std::string print_ratio(std::optional<double> value);  // "0.987", "-"

// "lines|received-first", as in the truth; "*" if all answers are accepted.
template <typename Label>
std::string join(const std::vector<Label>& accepted) {
  if (accepted.empty()) return "*";
  std::string text;
  for (const Label label : accepted) {
    if (!text.empty()) text += '|';
    text += classifier::name(label);
  }
  return text;
}

// "kilobyte-blocks instead of official-mta, block 4096 instead of 8192".
std::string print_mistake(const Mistake& mistake);

}  // namespace offline
