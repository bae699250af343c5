// The part of the memory process that keeps the table of reputations: it is the table's only
// writer.
//
//     sighting ─► own verdict, without the reputation's terms ─► lesson ─► table
//     start: the table itself, if it has outlived the last process; else the state file; else the
//            day files, in steps between the sightings, up to the newest row. They are not
//            read while reputation.enabled is false.
//     every minute or more: the table becomes the state file, in steps
//
// One thread. Errors are logged here; none of them ends the process.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "milter/config/config.h"
#include "milter/memory/forget_requests.h"
#include "milter/memory/rebuild.h"
#include "milter/memory/sighting.h"
#include "milter/reputation/counters.h"
#include "milter/reputation/learner.h"
#include "milter/reputation/reader.h"
#include "milter/reputation/state_file.h"

namespace memory {

// What the message teaches, by the verdict without the terms that the reputation has added.
reputation::Lesson lesson_of(const Sighting& sighting);

class Teaching {
 public:
  // `table`: a descriptor of the table, borrowed. Throws std::system_error and std::runtime_error.
  Teaching(const config::Config& config, int table, reputation::Counters& counters);

  // While the table is rebuilt from the day files, messages are read from there and not taken here.
  void take(const Sighting& sighting);
  // To be called five times a second, when all that was taken is written to the store: some
  // milliseconds of work at most.
  void tick();
  // Writes the state file at once.
  void save();
  void reload(const config::Config& config);

 private:
  using Time = reputation::Time;

  void begin(Time now);
  reputation::Origin origin(const net::Endpoint& client, std::string_view gait) const;
  void learn(const reputation::Origin& origin, const reputation::Lesson& lesson, memory::Time time,
             Time now);
  void take_past(const PastMessage& message, Time now);
  void rebuild_some(Time now);
  void save_some(Time now);
  void forget_requested();
  void drop_addresses();
  void count();
  std::string state_file() const;

  bool enabled_;
  const std::string folder_;
  ForgetRequests forget_requests_;
  bool truncated_;
  reputation::Rules rules_;
  reputation::TableWriter table_;
  reputation::Learner learner_;
  reputation::Counters& counters_;
  std::unique_ptr<Rebuild> rebuild_;                 // null: not needed, or done
  std::unique_ptr<reputation::StateWriter> saving_;  // null: no pass is under way
  Time next_save_;
  bool failed_ = false;        // the last pass
  std::size_t evictions_ = 0;  // of the table's, that are counted already
  std::size_t refused_ = 0;
};

}  // namespace memory
