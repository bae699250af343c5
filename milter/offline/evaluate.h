// How good the classifier is: truth and answers go in, figures come out. Pure: evaluate_command
// reads the files, evaluate_report and evaluate_html print.
//
// What counts how:
//   - Nothing is dropped. A message of the truth that was not found is wrong on every axis it has a
//     truth for; one that the truth does not know costs the class that it was given precision.
//     Both are listed.
//   - Figures are of messages in clear. Those under TLS are a group of their own, beside the same
//     programs' messages in clear: what is seen of them is another thing (record lengths).
//   - Where the truth accepts several answers, one of them counts as that class's.
//   - The writer axis counts messages of at least three segments: with fewer there is hardly a
//     boundary to look at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "classifier/classify.h"
#include "milter/offline/statistics.h"
#include "milter/offline/truth.h"

namespace offline {

// What evaluation needs of a verdict.
struct Answer {
  classifier::Pattern pattern = classifier::Pattern::Unobserved;
  classifier::Writer writer = classifier::Writer::Unknown;
  classifier::PathShape path = classifier::PathShape::Unknown;
  std::uint32_t block = 0;
  double confidence = 0;
  double score = 0;
  std::string gait = "unknown";
  std::optional<classifier::GaitClass> gait_class;  // said where no name is
  // What a gait database without the truth's sender answers: the next program that nobody has
  // recorded. "unknown" is right then, and every name a wrong one.
  std::string gait_left_out = "unknown";
  std::vector<std::string> reasons;
  std::string trace;  // in the notation
};

struct Judged {
  TruthRow truth;
  std::optional<Answer> answer;  // none: the message was not found in its file
};

// A message in a file of the truth that the truth does not know. Link and TLS are those of the
// file's other messages.
struct Extra {
  std::string file;
  std::uint32_t message = 1;
  std::string link;
  bool tls = false;
  Answer answer;
};

// The programs that each gait stands for: more than one where their writes and dialogue are the
// same, and nobody can tell them apart. Programs are called as in the truth.
struct KnownGait {
  std::vector<std::string> programs;
  classifier::GaitClass kind = classifier::GaitClass::Library;
};
using GaitPrograms = std::map<std::string, KnownGait>;  // by the gait's name

// Whether `sender` is among them: itself, or as PROGRAM+RELAY, where something stood between it and
// us; whoever is named then is still the program.
bool stands_for(const std::vector<std::string>& programs, const std::string& sender);

// The two axes, pattern, block and gait over one set of messages.
struct Score {
  Score();
  std::size_t messages = 0;
  Confusion writer;  // at least three segments
  Confusion path;
  Confusion pattern;
  Rate one_segment;     // right pattern: `indistinct`, unless the dialogue tells
  Rate block;           // right size, of block writers
  Rate gait;            // right program, first guess; at least kGaitBytes, program in the database
  Rate gait_unknown;    // of the same: no guess
  Rate gait_elsewhere;  // as `gait`, on links that the database was not made on
  Calibration calibration;  // of the pattern
};

// A figure with a target, or worth watching: tests/data/figures.json records them.
struct Figure {
  std::string name;
  std::string what;
  std::optional<double> value;       // none: nothing to measure it on
  std::size_t n = 0;                 // messages it rests on
  std::optional<Interval> interval;  // of rates
  bool higher_is_better = true;
  std::optional<double> target;
  bool met() const;
};

// Messages of a sender class that a postmaster would not want to lose.
struct ClassAlarms {
  std::string sender_class;
  Rate bot;       // labelled bot-*
  Rate tempfail;  // score at the threshold or above, whatever the confidence
  Rate reject;
};

struct Mistake {
  TruthRow truth;
  Answer answer;
  bool pattern = false;  // which of them is wrong
  bool writer = false;
  bool path = false;
  bool block = false;
};

// Messages that were given the name of a program which did not send them. A gait that stands for
// several programs is right for each of them: nobody can tell them apart.
struct WrongNames {
  Rate known;     // by the whole database
  Rate left_out;  // by one without the sender: every name is wrong
};

// So many messages of a program that were given another one's gait, or none.
struct GaitMistake {
  std::string sender;
  std::string answer;
  std::size_t messages = 0;
};

struct LinkScore {
  std::string link;
  Score score;
  std::size_t official_alarms = 0;
};

struct Evaluation {
  std::vector<Figure> figures;
  Score clear;
  Score clean;  // in clear, on clean links
  Score tls;
  Score twins;  // messages in clear of the same program, link and kind as one under TLS
  std::vector<LinkScore> links;         // in clear, in the order of the truth
  std::vector<ClassAlarms> alarms;      // by sender class, official MTAs first; TLS included
  std::vector<Judged> official_alarms;  // official MTAs labelled bot-* or at a threshold
  std::vector<Mistake> mistakes;  // worst first: the surest of a wrong pattern; no answer last
  std::vector<GaitMistake> gait_mistakes;   // in clear, most first
  std::vector<GaitMistake> gaits_left_out;  // names given by a database without the sender
  WrongNames wrong_names;                   // of all messages, short ones and those under TLS too
  Rate classes;                             // of those with a class in place of a name: it is right
  std::vector<TruthRow> missing;
  std::vector<Extra> extra;
  std::size_t messages = 0;  // of the truth
};

// A clean link loses nothing, has no bottleneck, and does not change: the sender's segments arrive
// as they left, of an ordinary size. A link that is not known is not clean.
bool is_clean(const std::string& link);

// Thresholds are those of `policy`. Without `gaits` there are no figures on
// them.
Evaluation evaluate(std::span<const Judged> judged, std::span<const Extra> extra,
                    const classifier::Policy& policy, const GaitPrograms& gaits);

// The truth's sender. The lab calls a program that was told to use TLS "NAME-tls".
std::string program_of(const TruthRow& truth);

// Is the answer one that the truth accepts? True where the truth leaves it out.
bool pattern_right(const Judged& judged);
bool writer_right(const Judged& judged);
bool path_right(const Judged& judged);
bool block_right(const Judged& judged);

}  // namespace offline
