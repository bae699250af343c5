// The record of one message: all that is known of it once it has been decided on. It is made once,
// printed by the log (message_log.h), and sent on to whoever keeps such records.
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
  std::string helo;  // the name that the client said, any bytes; for the log, not to be stored
  // Other than None: the message was not judged, and the sighting has neither trace nor verdict.
  Exemption exempt = Exemption::None;
  bool flood = false;  // likewise: it was refused for its many forged headers
  // Headers of our name that came with the message.
  bool from_relay = false;                 // from a relay whose seals are believed
  seal::Result seal = seal::Result::None;  // of such a relay's header
  unsigned forged = 0;                     // that were to be deleted
  unsigned deleted = 0;                    // of these, that Postfix was told to delete

  bool judged() const { return exempt == Exemption::None && !flood; }
};

// `judgement` is settled, and what it asks for has been done.
Record make_record(std::string_view queue_id, std::chrono::sys_time<std::chrono::milliseconds> time,
                   const Connection& connection, Judgement&& judgement);

class RecordSink {
 public:
  virtual ~RecordSink() = default;
  // `settings`: the configuration by which the message was judged. Called in the path of the mail,
  // by several threads at a time: it must not wait for anything. What it throws costs the record,
  // and not the answer to Postfix.
  virtual void take(const Record& record, const config::Config& settings) = 0;
};

}  // namespace filter
