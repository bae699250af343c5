// Counters of an observing process. Its main thread writes them, any thread may read them.
#pragma once

#include "milter/process/metrics.h"

namespace evidence {

struct Counters {
  process::Count sessions{0};
  process::Count bytes{0};
  process::Count refused{0};
};

inline process::Families describe(const Counters& counts) {
  using process::family;
  return {
      family("evidence_sessions", counts.sessions,
             "Sessions with evidence, open and lingering (evidence.max_sessions)."),
      family("evidence_bytes", counts.bytes,
             "Memory that the evidence takes (evidence.max_bytes)."),
      family("evidence_refused_total", counts.refused,
             "Messages without evidence because the table was full."),
  };
}

}  // namespace evidence
