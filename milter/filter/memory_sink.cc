#include "milter/filter/memory_sink.h"

#include <sys/socket.h>

#include <cerrno>

#include "milter/memory/sighting_bytes.h"

namespace filter {

void MemorySink::take(const Record& record, const config::Config&) {
  if (!record.judged()) return;
  const auto bytes = memory::to_bytes(record.sighting);
  if (send(socket_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) {
    ++counters_.sent;
  } else if (errno == EAGAIN || errno == ENOBUFS) {
    ++counters_.dropped_full;
  } else {
    ++counters_.dropped_gone;
  }
}

}  // namespace filter
