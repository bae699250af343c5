// Measures how good the classifier is: takes the truth and the answers, returns the figures. Pure:
// evaluate_command reads the files, evaluate_report and evaluate_html print.
//
// How messages are counted:
//   - No message is dropped. A message of the truth that was not found counts as wrong on every
//     axis for which the truth has an answer. A message that the truth does not know lowers the
//     precision of the class that it was given. Both kinds are listed.
//   - The figures are of messages in clear, unless they say "under TLS". Messages under TLS are
//     compared with the same programs' messages in clear, because under TLS different things are
//     seen (record lengths).
//   - If the truth accepts several answers and one of them was given, the message counts for that
//     answer's class.
//   - The writer axis counts only messages of at least three segments, because fewer segments have
//     hardly a boundary to judge.
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

// The parts of a verdict that the evaluation needs.
struct Answer {
  classifier::Pattern pattern = classifier::Pattern::Unobserved;
  classifier::Writer writer = classifier::Writer::Unknown;
  classifier::PathShape path = classifier::PathShape::Unknown;
  std::uint32_t block = 0;
  double confidence = 0;
  double score = 0;
  std::string gait = "unknown";
  std::optional<classifier::GaitClass> gait_class;  // set where no gait is named
  // The gait by a book without the truth's sender. This stands for a program that was never
  // recorded: "unknown" is right, and every name is wrong.
  std::string gait_left_out = "unknown";
  std::vector<std::string> reasons;
  std::string trace;  // in the notation of trace_text.h
};

struct Judged {
  TruthRow truth;
  std::optional<Answer> answer;  // none: the message was not found in its file
};

// A message that was found in a file of the truth but has no row there. Its link and TLS are those
// of the file's other messages.
struct Extra {
  std::string file;
  std::uint32_t message = 1;
  std::string link;
  bool tls = false;
  Answer answer;
};

// The programs for which a gait stands. They are several if their writes and their dialogue are the
// same, so that they cannot be distinguished. Programs have the names of the truth.
struct KnownGait {
  std::vector<std::string> programs;
  classifier::GaitClass kind = classifier::GaitClass::Library;
};
using GaitPrograms = std::map<std::string, KnownGait>;  // by the gait's name

// True if `sender` is one of `programs`. A sender may be PROGRAM+RELAY, if a relay was between the
// program and the capture; then PROGRAM counts too.
bool stands_for(const std::vector<std::string>& programs, const std::string& sender);

// The scores of one set of messages: both axes, pattern, block and gait.
struct Score {
  Score();
  std::size_t messages = 0;
  Confusion writer;  // at least three segments
  Confusion path;
  Confusion pattern;
  Rate one_segment;     // right pattern of one segment: `indistinct`, unless the dialogue says more
  Rate block;           // right block size, of programs that write blocks
  Rate gait;            // right program, of at least kGaitBytes and a program that is in the book
  Rate gait_unknown;    // no gait named, of the same messages
  Rate gait_elsewhere;  // as `gait`, but only on links other than the one the book was made on
  Calibration calibration;  // of the pattern
};

// One figure of the evaluation. tests/data/figures.json records the figures, and a test compares
// them.
struct Figure {
  std::string name;                  // its key in JSON
  std::string what;                  // its name for people
  std::optional<double> value;       // none: there is no message to measure it on
  std::size_t n = 0;                 // the messages on which it is measured
  std::optional<Interval> interval;  // only of rates
  bool higher_is_better = true;
  std::optional<double> target;
  bool met() const;
};

// False alarms on the messages of one sender class.
struct ClassAlarms {
  std::string sender_class;
  Rate bot;       // labelled bot-*
  Rate tempfail;  // the score is at least the tempfail threshold; the confidence does not matter
  Rate reject;    // the same for the reject threshold
};

struct Mistake {
  TruthRow truth;
  Answer answer;
  bool pattern = false;  // these four say which answers are wrong
  bool writer = false;
  bool path = false;
  bool block = false;
};

// Messages that were given the name of a program which did not send them. A gait that stands for
// several programs is right for each of them, because they cannot be distinguished.
struct WrongNames {
  Rate known;     // by the whole book
  Rate left_out;  // by a book without the sender, where every name is wrong
};

// The number of a program's messages that were given another program's gait, or none.
struct GaitMistake {
  std::string sender;
  std::string answer;  // the gait that was given; "unknown": none
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
  Score twins;  // in clear: messages with the program, link and kind of a message under TLS
  std::vector<LinkScore> links;         // in clear, in the order of the truth
  std::vector<ClassAlarms> alarms;      // by sender class, official MTAs first; TLS included
  std::vector<Judged> official_alarms;  // official MTAs labelled bot-* or at a threshold
  // Worst first: wrong patterns come before other mistakes, and those with a higher confidence come
  // first. `unobserved` comes last.
  std::vector<Mistake> mistakes;
  std::vector<GaitMistake> gait_mistakes;   // in clear; the most messages first
  std::vector<GaitMistake> gaits_left_out;  // names given by a book without the sender
  WrongNames wrong_names;                   // of all messages, also short ones and those under TLS
  Rate classes;                             // right classes, of messages with a class and no gait
  std::vector<TruthRow> missing;            // messages of the truth that were not found
  std::vector<Extra> extra;                 // messages that the truth does not know
  std::size_t messages = 0;                 // messages of the truth
};

// True for a link without loss, bottleneck or changes: the sender's segments arrive as they were
// sent, and have an ordinary size. A link with an unknown name is not clean.
bool is_clean(const std::string& link);

// The thresholds of the alarms are those of `policy`. If `gaits` is empty, the figures on gaits
// have no value.
Evaluation evaluate(std::span<const Judged> judged, std::span<const Extra> extra,
                    const classifier::Policy& policy, const GaitPrograms& gaits);

// The program that sent the message: the truth's sender without "-tls", which the recordings add to
// the name of a program that used TLS.
std::string program_of(const TruthRow& truth);

// True if the truth accepts the answer, or says nothing about this axis.
bool pattern_right(const Judged& judged);
bool writer_right(const Judged& judged);
bool path_right(const Judged& judged);
bool block_right(const Judged& judged);

}  // namespace offline
