// Two simulated days of mail through the real store and the real table of reputations.
//
//     days TRACES [MESSAGES] [SEED]       the folder of the corpus; 1,000,000 messages; seed 1
//
// Prints the time that it took, the memory, and how well the chain of levels ranks mail and is
// calibrated, against the address alone: with the own verdicts as the only teacher, and with a
// tenth of the mail labelled by somebody else. Exit codes: 0; 1 rows are missing, the chain is not
// better than the address, or the table has grown beyond its size; 64 usage; 71 another error.
#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdlib>
#include <filesystem>

#include "milter/reputation/table.h"
#include "tests/support/days_run.h"

namespace {

void print(const char* teacher, const simulation::Result& result) {
  fmt::print(
      "{}: {} lessons of unwanted and {} of wanted mail\n"
      "    table    {} entries, {} evicted, {} refused, {:.1f} MB; {:.0f} messages a second\n"
      "    chain    AUC {:.3f}  ECE {:.3f}   mean term {:+.2f} of unwanted, {:+.2f} of wanted "
      "mail\n"
      "    address  AUC {:.3f}  ECE {:.3f}\n",
      teacher, result.lessons_bad, result.lessons_good, result.entries, result.evictions,
      result.refused, sizeof(reputation::TableMemory) / 1048576.0,
      static_cast<double>(result.messages) / result.reputation_seconds, result.chain.auc,
      result.chain.ece, result.term_unwanted, result.term_wanted, result.address.auc,
      result.address.ece);
}

int measure(simulation::Settings settings) {
  char name[] = "/tmp/segmilter-days-XXXXXX";
  settings.folder = mkdtemp(name);
  const auto own = simulation::run_days(settings);
  std::uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(name)) bytes += entry.file_size();
  std::filesystem::remove_all(name);
  fmt::print("{} messages in 48 h, {:.1f} % unwanted; stored {} in {:.1f} s, {:.0f} MB\n",
             own.messages,
             100.0 * static_cast<double>(own.unwanted) / static_cast<double>(own.messages),
             own.stored, own.store_seconds, static_cast<double>(bytes) / 1048576);
  print("own verdicts", own);
  settings.folder.clear();
  settings.labels = 0.1;
  const auto labelled = simulation::run_days(settings);
  print("a tenth labelled by others", labelled);
  rusage usage{};
  (void)getrusage(RUSAGE_SELF, &usage);
  fmt::print("largest memory of the whole program: {} MB\n", usage.ru_maxrss / 1024);
  const bool right = own.stored == own.messages && own.chain.auc > own.address.auc &&
                     labelled.chain.auc > labelled.address.auc &&
                     labelled.chain.ece < labelled.address.ece &&
                     own.entries <= reputation::TableMemory::kEntries;
  return right ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2 || argc > 4) {
    fmt::print(stderr, "days TRACES [MESSAGES] [SEED]\n");
    return 64;
  }
  simulation::Settings settings;
  settings.traces = argv[1];
  if (argc > 2) settings.messages = std::strtoull(argv[2], nullptr, 10);
  if (argc > 3) settings.seed = std::strtoull(argv[3], nullptr, 10);
  return measure(settings);
} catch (const std::exception& error) {
  fmt::print(stderr, "days: {}\n", error.what());
  return 71;
}
