#include "milter/filter/record.h"

#include <utility>

#include "milter/filter/host_names.h"

namespace filter {

Record make_record(std::string_view queue_id, std::chrono::sys_time<std::chrono::milliseconds> time,
                   const Connection& connection, Judgement&& judgement) {
  const std::string& name = connection.client_name();
  Record record;
  record.sighting = {
      .time = time,
      .queue_id = std::string(queue_id),
      .client = connection.client(),
      .listener = std::move(judgement.listener),
      .helo = memory::helo_shape(connection.helo(), is_confirmed(name) ? name : ""),
      .tls = judgement.tls || judgement.trace.tls,
      .trace = std::move(judgement.trace),
      .verdict = std::move(judgement.verdict),
      .basis = judgement.basis,
      .decision = judgement.decision,
  };
  record.helo = connection.helo();
  record.standing = std::move(judgement.standing);
  record.exempt = judgement.exempt;
  record.flood = judgement.flood;
  record.from_relay = judgement.from_relay;
  record.seal = judgement.seal;
  record.forged = judgement.forged();
  record.deleted = judgement.deleted;
  return record;
}

}  // namespace filter
