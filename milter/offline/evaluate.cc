#include "milter/offline/evaluate.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

namespace offline {
namespace {

using classifier::PathShape;
using classifier::Pattern;
using classifier::Writer;

constexpr std::uint32_t kWriterSegments = 3;  // two segments have one boundary, often the tail's
constexpr std::uint64_t kGaitBytes = 5000;    // "5 KB": shorter messages show too little
// The link on which the book of gaits was made and TLS was recorded.
constexpr std::string_view kBaseLink = "base";
constexpr std::string_view kOfficial = "official-mta";
constexpr std::string_view kUnknownGait = "unknown";

template <typename Label>
std::vector<std::string> names(int count) {
  std::vector<std::string> all;
  for (int i = 0; i < count; ++i) all.emplace_back(classifier::name(static_cast<Label>(i)));
  return all;
}

template <typename Label>
bool accepts(const std::vector<Label>& accepted, Label answer) {
  return accepted.empty() || std::find(accepted.begin(), accepted.end(), answer) != accepted.end();
}

template <typename Label>
void count(Confusion& confusion, const std::vector<Label>& accepted,
           const std::optional<Label>& answer) {
  if (accepted.empty()) return;
  const bool right = answer && accepts(accepted, *answer);
  const Label truth = right ? *answer : accepted.front();
  confusion.add(static_cast<int>(truth), answer ? static_cast<int>(*answer) : Confusion::kNone);
}

bool writes_blocks(const TruthRow& truth) {
  return truth.block != 0 && truth.writers == std::vector{Writer::Blocks};
}

}  // namespace

bool stands_for(const std::vector<std::string>& programs, const std::string& sender) {
  const auto among = [&](const std::string& name) {
    return std::find(programs.begin(), programs.end(), name) != programs.end();
  };
  return among(sender) || among(sender.substr(0, sender.find('+')));
}

namespace {

// True if the gait that was given stands for the program. nullopt: the book has no such program.
std::optional<bool> gait_right(const Judged& judged, const GaitPrograms& gaits) {
  const std::string sender = program_of(judged.truth);
  const auto walks = [&](const auto& gait) { return stands_for(gait.second.programs, sender); };
  if (std::none_of(gaits.begin(), gaits.end(), walks)) return std::nullopt;
  const auto found = judged.answer ? gaits.find(judged.answer->gait) : gaits.end();
  return found != gaits.end() && walks(*found);
}

// True if a gait that stands for the program has the class that was given in place of a name.
bool class_right(const Judged& judged, const GaitPrograms& gaits) {
  const std::string sender = program_of(judged.truth);
  return std::any_of(gaits.begin(), gaits.end(), [&](const auto& gait) {
    return gait.second.kind == judged.answer->gait_class &&
           stands_for(gait.second.programs, sender);
  });
}

void count_gait(Score& score, const Judged& judged, const GaitPrograms& gaits) {
  if (judged.truth.bytes < kGaitBytes) return;
  const auto right = gait_right(judged, gaits);
  if (!right) return;
  score.gait.add(*right);
  score.gait_unknown.add(judged.answer && judged.answer->gait == kUnknownGait);
  if (judged.truth.link != kBaseLink) score.gait_elsewhere.add(*right);
}

void note(std::vector<GaitMistake>& mistakes, const std::string& sender,
          const std::string& answer) {
  for (GaitMistake& known : mistakes) {
    if (known.sender == sender && known.answer == answer) {
      ++known.messages;
      return;
    }
  }
  mistakes.push_back({.sender = sender, .answer = answer, .messages = 1});
}

void note_gait_mistake(Evaluation& all, const Judged& judged, const GaitPrograms& gaits) {
  if (!judged.answer || judged.truth.bytes < kGaitBytes) return;
  if (gait_right(judged, gaits).value_or(true)) return;
  note(all.gait_mistakes, program_of(judged.truth), judged.answer->gait);
}

// Counts messages of every size, in clear and under TLS: a wrong name is wrong for all of them.
void count_wrong_names(Evaluation& all, const Judged& judged, const GaitPrograms& gaits) {
  if (gaits.empty() || !judged.answer) return;
  const Answer& answer = *judged.answer;
  const bool named = answer.gait != kUnknownGait;
  all.wrong_names.known.add(named && !gait_right(judged, gaits).value_or(false));
  if (answer.gait_class) all.classes.add(class_right(judged, gaits));
  const bool named_left_out = answer.gait_left_out != kUnknownGait;
  all.wrong_names.left_out.add(named_left_out);
  if (named_left_out) note(all.gaits_left_out, program_of(judged.truth), answer.gait_left_out);
}

void sort_most_first(std::vector<GaitMistake>& mistakes) {
  std::stable_sort(mistakes.begin(), mistakes.end(),
                   [](const auto& a, const auto& b) { return a.messages > b.messages; });
}

void count(Score& score, const Judged& judged, const GaitPrograms& gaits) {
  const TruthRow& truth = judged.truth;
  const auto& answer = judged.answer;
  const auto of = [&](auto member) {
    using Label = std::remove_cvref_t<decltype(std::declval<Answer>().*member)>;
    return answer ? std::optional<Label>((*answer).*member) : std::nullopt;
  };
  ++score.messages;
  if (truth.segments >= kWriterSegments) {
    count(score.writer, truth.writers, of(&Answer::writer));
  }
  count(score.path, truth.paths, of(&Answer::path));
  count(score.pattern, truth.patterns, of(&Answer::pattern));
  if (writes_blocks(truth)) score.block.add(block_right(judged));
  if (!truth.patterns.empty()) {
    if (truth.segments == 1) score.one_segment.add(pattern_right(judged));
    if (answer) score.calibration.add(answer->confidence, pattern_right(judged));
  }
  if (!gaits.empty()) count_gait(score, judged, gaits);
}

void count(Score& score, const Extra& extra) {
  score.writer.add(Confusion::kNone, static_cast<int>(extra.answer.writer));
  score.path.add(Confusion::kNone, static_cast<int>(extra.answer.path));
  score.pattern.add(Confusion::kNone, static_cast<int>(extra.answer.pattern));
}

bool is_bot(const Answer& answer) {
  return answer.pattern == Pattern::BotTemplate || answer.pattern == Pattern::BotHeadersApart;
}

LinkScore& link_named(std::vector<LinkScore>& links, const std::string& link) {
  for (LinkScore& known : links) {
    if (known.link == link) return known;
  }
  return links.emplace_back(LinkScore{.link = link});
}

ClassAlarms& class_named(std::vector<ClassAlarms>& classes, const std::string& sender_class) {
  for (ClassAlarms& known : classes) {
    if (known.sender_class == sender_class) return known;
  }
  return classes.emplace_back(ClassAlarms{.sender_class = sender_class});
}

void count_alarms(Evaluation& all, const Judged& judged, const classifier::Policy& policy) {
  if (!judged.answer) return;
  const Answer& answer = *judged.answer;
  ClassAlarms& alarms = class_named(all.alarms, judged.truth.sender_class);
  alarms.bot.add(is_bot(answer));
  alarms.tempfail.add(answer.score >= policy.tempfail);
  alarms.reject.add(answer.score >= policy.reject);
  if (judged.truth.sender_class != kOfficial) return;
  if (!is_bot(answer) && answer.score < policy.tempfail && answer.score < policy.reject) return;
  all.official_alarms.push_back(judged);
  if (!judged.truth.tls) ++link_named(all.links, judged.truth.link).official_alarms;
}

void note_mistake(Evaluation& all, const Judged& judged) {
  if (!judged.answer) {
    all.missing.push_back(judged.truth);
    return;
  }
  const Mistake mistake{.truth = judged.truth,
                        .answer = *judged.answer,
                        .pattern = !pattern_right(judged),
                        .writer = !writer_right(judged),
                        .path = !path_right(judged),
                        .block = !block_right(judged)};
  if (mistake.pattern || mistake.writer || mistake.path || mistake.block) {
    all.mistakes.push_back(mistake);
  }
}

void sort_worst_first(std::vector<Mistake>& mistakes) {
  std::stable_sort(mistakes.begin(), mistakes.end(), [](const Mistake& a, const Mistake& b) {
    const auto key = [](const Mistake& one) {
      const bool claimed = one.answer.pattern != Pattern::Unobserved;
      return std::make_tuple(claimed, one.pattern, one.answer.confidence);
    };
    return key(a) > key(b);
  });
}

void sort_official_first(std::vector<ClassAlarms>& alarms) {
  std::sort(alarms.begin(), alarms.end(), [](const ClassAlarms& a, const ClassAlarms& b) {
    return std::make_tuple(a.sender_class != kOfficial, a.sender_class) <
           std::make_tuple(b.sender_class != kOfficial, b.sender_class);
  });
}

using Twin = std::tuple<std::string, std::string>;  // program, kind

std::set<Twin> twins_of_tls(std::span<const Judged> judged) {
  std::set<Twin> twins;
  for (const Judged& one : judged) {
    if (one.truth.tls) twins.emplace(program_of(one.truth), one.truth.kind);
  }
  return twins;
}

Evaluation score_all(std::span<const Judged> judged, std::span<const Extra> extra,
                     const classifier::Policy& policy, const GaitPrograms& gaits) {
  Evaluation all;
  all.messages = judged.size();
  const auto twins = twins_of_tls(judged);
  // Messages under TLS were recorded on the base link only, so their twins have to be from there.
  const auto is_twin = [&](const TruthRow& truth) {
    return truth.link == kBaseLink && twins.contains({program_of(truth), truth.kind});
  };
  for (const Judged& one : judged) {
    if (one.truth.tls) {
      count(all.tls, one, gaits);
    } else {
      count(all.clear, one, gaits);
      note_gait_mistake(all, one, gaits);
      count(link_named(all.links, one.truth.link).score, one, gaits);
      if (is_clean(one.truth.link)) count(all.clean, one, gaits);
      if (is_twin(one.truth)) count(all.twins, one, gaits);
    }
    count_wrong_names(all, one, gaits);
    count_alarms(all, one, policy);
    note_mistake(all, one);
  }
  for (const Extra& one : extra) {
    count(one.tls ? all.tls : all.clear, one);
    if (one.tls) continue;
    count(link_named(all.links, one.link).score, one);
    if (is_clean(one.link)) count(all.clean, one);
  }
  all.extra.assign(extra.begin(), extra.end());
  sort_worst_first(all.mistakes);
  sort_official_first(all.alarms);
  sort_most_first(all.gait_mistakes);
  sort_most_first(all.gaits_left_out);
  return all;
}

// Collects the figures, with the project's targets (tests/data/README.md has them).
class Figures {
 public:
  void f1(const char* name, const char* what, const Confusion& confusion, double target) {
    all_.push_back({.name = name,
                    .what = what,
                    .value = confusion.macro_f1(),
                    .n = confusion.accuracy().n,
                    .target = target});
  }
  void rate(const char* name, const char* what, const Rate& rate, std::optional<double> target) {
    Figure figure{.name = name, .what = what, .value = rate.value(), .n = rate.n, .target = target};
    if (rate.n != 0) figure.interval = rate.wilson();
    all_.push_back(figure);
  }
  void rate_at_most(const char* name, const char* what, const Rate& hits, double target) {
    rate(name, what, hits, target);
    all_.back().higher_is_better = false;
  }
  void at_most(const char* name, const char* what, std::optional<double> value, std::size_t n,
               double target) {
    all_.push_back({.name = name,
                    .what = what,
                    .value = value,
                    .n = n,
                    .higher_is_better = false,
                    .target = target});
  }
  std::vector<Figure> take() { return std::move(all_); }

 private:
  std::vector<Figure> all_;
};

std::vector<Figure> figures_of(const Evaluation& all) {
  Figures figures;
  figures.f1("writer_f1_clean", "writer, clean links, macro-F1", all.clean.writer, 0.99);
  figures.f1("writer_f1", "writer, all links, macro-F1", all.clear.writer, 0.97);
  figures.f1("path_f1", "path, macro-F1", all.clear.path, 0.99);
  figures.f1("pattern_f1", "pattern, macro-F1", all.clear.pattern, 0.98);
  figures.rate("pattern_right", "pattern, accuracy", all.clear.pattern.accuracy(), std::nullopt);
  figures.rate("one_segment", "one segment: indistinct", all.clear.one_segment, 1);
  figures.rate("block_right", "block size, of block writers", all.clear.block, 0.97);
  figures.rate("gait_elsewhere", "gait, 5 KB and more, other links than base",
               all.clear.gait_elsewhere, 0.90);
  figures.rate("gait_right", "gait, 5 KB and more, all links", all.clear.gait, std::nullopt);
  figures.rate_at_most("gait_wrong", "wrong gait: names a program that did not send the message",
                       all.wrong_names.known, 0.01);
  figures.rate_at_most("gait_wrong_left_out", "wrong gait, if the list lacks the sending program",
                       all.wrong_names.left_out, 0.01);
  figures.rate("class_right", "class, if several programs of one class fit and no gait is named",
               all.classes, std::nullopt);
  figures.f1("tls_writer_f1", "under TLS: writer, macro-F1", all.tls.writer, 0.99);
  figures.f1("tls_path_f1", "under TLS: path, macro-F1", all.tls.path, 0.99);
  figures.f1("tls_pattern_f1", "under TLS: pattern, macro-F1", all.tls.pattern, 0.98);
  figures.f1("twin_pattern_f1", "the same programs in clear", all.twins.pattern, 0.98);
  Rate bot;
  Rate tempfail;
  Rate reject;
  for (const ClassAlarms& alarms : all.alarms) {
    if (alarms.sender_class != kOfficial) continue;
    bot = alarms.bot;
    tempfail = alarms.tempfail;
    reject = alarms.reject;
  }
  const auto number = [](std::size_t hits) { return static_cast<double>(hits); };
  figures.at_most("official_bot", "official MTAs labelled bot-*", number(bot.hits), bot.n, 0);
  figures.at_most("official_tempfail", "official MTAs at the tempfail threshold",
                  number(tempfail.hits), tempfail.n, 0);
  figures.at_most("official_reject", "official MTAs at the reject threshold", number(reject.hits),
                  reject.n, 0);
  figures.at_most("ece", "calibration error (ECE)", all.clear.calibration.ece(),
                  all.clear.calibration.n(), 0.05);
  figures.at_most("missing", "messages not found", number(all.missing.size()), all.messages, 0);
  figures.at_most("extra", "messages found that the truth does not list", number(all.extra.size()),
                  all.messages, 0);
  return figures.take();
}

}  // namespace

Score::Score()
    : writer(names<Writer>(classifier::kWriters)),
      path(names<PathShape>(classifier::kPathShapes)),
      pattern(names<Pattern>(classifier::kPatterns)) {}

bool Figure::met() const {
  if (!value || !target) return true;
  return higher_is_better ? *value >= *target : *value <= *target;
}

bool is_clean(const std::string& link) {
  constexpr std::array kClean = {"base", "lan", "gro", "nots", "pppoe", "mtu1440"};
  return std::find(kClean.begin(), kClean.end(), link) != kClean.end();
}

std::string program_of(const TruthRow& truth) {
  constexpr std::string_view kTls = "-tls";
  return truth.sender.ends_with(kTls) ? truth.sender.substr(0, truth.sender.size() - kTls.size())
                                      : truth.sender;
}

bool pattern_right(const Judged& judged) {
  return judged.truth.patterns.empty() ||
         (judged.answer && accepts(judged.truth.patterns, judged.answer->pattern));
}

bool writer_right(const Judged& judged) {
  return judged.truth.segments < kWriterSegments || judged.truth.writers.empty() ||
         (judged.answer && accepts(judged.truth.writers, judged.answer->writer));
}

bool path_right(const Judged& judged) {
  return judged.truth.paths.empty() ||
         (judged.answer && accepts(judged.truth.paths, judged.answer->path));
}

bool block_right(const Judged& judged) {
  return !writes_blocks(judged.truth) ||
         (judged.answer && judged.answer->block == judged.truth.block);
}

Evaluation evaluate(std::span<const Judged> judged, std::span<const Extra> extra,
                    const classifier::Policy& policy, const GaitPrograms& gaits) {
  Evaluation all = score_all(judged, extra, policy, gaits);
  all.figures = figures_of(all);
  return all;
}

}  // namespace offline
