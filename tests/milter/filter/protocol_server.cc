// The filter process for filter_protocol.py: runs filter::run with a configuration file, without
// the rest of the program.
//
//     filter_protocol_server CONFIG [CONTROL_FD]   runs the filter
//     filter_protocol_server --trace NUMBER TLS    prints one line of evidence, as the proxy would
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

#include "classifier/trace_text.h"
#include "milter/config/load.h"
#include "milter/filter/filter.h"
#include "milter/log/log.h"

namespace {

// The talk's spam bots #2. The test's weights decide which score they get.
classifier::Trace sample(unsigned message, bool tls) {
  classifier::Trace trace;
  trace.message = message;
  trace.tls = tls;
  trace.path.mss = 1440;
  for (const unsigned size : {399u, 29u, 184u, 1440u, 1377u}) {
    classifier::Segment segment;
    segment.size = size;
    segment.push = size < 1440;
    trace.segments.push_back(segment);
    trace.size += size;
  }
  trace.landmarks.first_line_end = 60;
  trace.landmarks.fields = {{60, true}, {600, false}, {800, false}};
  trace.landmarks.header_end = 800;
  trace.landmarks.body_begin = 802;
  trace.landmarks.terminator = 3;
  trace.dialogue.greeting = classifier::Dialogue::Greeting::Ehlo;
  trace.dialogue.early_talker = true;
  return trace;
}

}  // namespace

// At exit libmilter destroys a mutex in another thread than the one that made it. The suppression
// names a function of libmilter that is not below any of our callbacks.
extern "C" const char* __tsan_default_suppressions() {
  return "race:mi_control_startup\n";
}

int main(int count, char** words) try {
  if (count == 4 && std::string_view(words[1]) == "--trace") {
    const auto trace = sample(static_cast<unsigned>(std::atoi(words[2])), words[3][0] == '1');
    std::puts(classifier::print(trace).c_str());
    return 0;
  }
  if (count < 2) return 64;
  const auto config = config::parse(config::read_file(words[1]), words[1], config::Secrets::Read);
  filter::Counters counters;
  memory::Counters memory;
  reputation::Counters reputations;
  logging::open(config.log, "filter");
  const std::string file = words[1];
  return filter::run({.config = config,
                      .config_file = file,
                      .part = process::Part::Filter,
                      .control_fd = count > 2 ? std::atoi(words[2]) : -1},
                     counters, {-1, memory, -1, reputations});
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 78;
}
