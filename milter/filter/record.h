// The record of one message: all that is known of it after the decision. It is made once, printed
// by the log (message_log.h), and passed to all other sinks.
//
//     Connection ─► Judgement ─► Service::settle ─► answer ─► make_record ─┬─► log
//                                                                          └─► other sinks
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "milter/config/config.h"
#include "milter/filter/connection.h"
#include "milter/memory/sighting.h"

namespace filter {

struct Record {
  memory::Sighting sighting;
  std::string helo;  // the client's EHLO name, any bytes; for the log, not to be stored
  // Other than None: the message was not judged, and the sighting has no trace and no verdict.
  Exemption exempt = Exemption::None;
  bool flood = false;  // as above: it was refused for its many forged headers
  std::optional<reputation::Standing> standing;
  // Headers of our name that came with the message.
  bool from_relay = false;                 // the client is a relay whose seals are believed
  seal::Result seal = seal::Result::None;  // the result for such a relay's header
  unsigned forged = 0;                     // headers that had to be deleted
  unsigned deleted = 0;                    // headers that Postfix was asked to delete

  bool judged() const { return exempt == Exemption::None && !flood; }
};

// Requires: Service::settle has seen `judgement`, and the answer to Postfix was carried out.
Record make_record(std::string_view queue_id, std::chrono::sys_time<std::chrono::milliseconds> time,
                   const Connection& connection, Judgement&& judgement);

class RecordSink {
 public:
  virtual ~RecordSink() = default;
  // `settings`: the configuration by which the message was judged. Called in the path of the mail,
  // by several threads at a time, so it must not wait for anything. If it throws, the record is
  // lost, but the answer to Postfix stands.
  virtual void take(const Record& record, const config::Config& settings) = 0;
};

}  // namespace filter
