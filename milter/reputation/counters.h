// What is counted of the table of reputations. The filter writes the first two, and the memory
// process the others; any process may read them.
#pragma once

#include "milter/process/metrics.h"

namespace reputation {

struct Counters {
  process::Count answered{0};
  process::Count unanswered{0};

  process::Count entries{0};
  process::Count evictions{0};
  process::Count refused{0};
  process::Count learnt_bad{0};
  process::Count learnt_good{0};
  process::Count learnt_nothing{0};
};

inline process::Families describe(const Counters& counts) {
  using process::family;
  return {
      {"reputation_lookups_total",
       "Questions to the table of reputations, by whether it could be read.",
       "answer",
       {{&counts.answered, "yes"}, {&counts.unanswered, "no"}}},
      family("reputation_entries", counts.entries,
             "Addresses, networks, autonomous systems and gaits in the table of reputations."),
      family("reputation_evictions_total", counts.evictions,
             "Entries that were removed to make room for one from which more was learnt."),
      family("reputation_refused_total", counts.refused,
             "New entries for which the table of reputations had no room."),
      {"reputation_lessons_total",
       "Messages from which the table of reputations could learn, by what it learnt.",
       "of",
       {{&counts.learnt_bad, "unwanted"},
        {&counts.learnt_good, "wanted"},
        {&counts.learnt_nothing, "nothing"}}},
  };
}

}  // namespace reputation
