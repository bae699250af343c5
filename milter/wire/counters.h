// What the wire observer counts. Its one thread writes, any process may read.
#pragma once

#include "milter/evidence/counters.h"
#include "milter/process/metrics.h"

namespace wire {

struct Counters {
  process::Count connections{0};
  // Counted by the SMTP tracker. Messages under TLS are only known when the filter asks for them.
  process::Count messages{0};
  process::Count lost{0};
  process::Count evicted{0};
  process::Count overload{0};
  process::Count ring_full{0};
  process::Count late{0};
  evidence::Counters evidence;
};

inline process::Families describe(const Counters& counts) {
  using process::family;
  process::Families families = {
      family("wire_connections_total", counts.connections, "Connections seen."),
      family("wire_traces_total", counts.messages,
             "Messages seen; messages under TLS are not counted here."),
      family("wire_sessions_lost_total", counts.lost,
             "Connections that could not be followed to their end."),
      family("wire_evicted_total", counts.evicted,
             "Connections evicted because there were too many (wire.max_sessions)."),
      family("wire_overload_total", counts.overload,
             "Connections not followed for lack of memory (evidence.max_bytes)."),
      family("wire_ring_full_total", counts.ring_full,
             "Packets that found the ring full (capture.ring_bytes)."),
      family("wire_late_total", counts.late,
             "Questions not answered because a processor had not finished an event in the ring."),
  };
  append(families, describe(counts.evidence));
  return families;
}

}  // namespace wire
