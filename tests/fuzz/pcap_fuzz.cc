// A whole capture from a stranger: file format, link layers, IP, TCP assembly, SMTP, classifier.
//
// What must hold: the reader comes to an end; no more bytes wait than the limit allows; every trace
// can be printed in the notation and is consistent (the sizes of a complete one add up).
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <variant>

#include "classifier/classify.h"
#include "classifier/trace_text.h"
#include "milter/recorded/pcap_reader.h"
#include "milter/recorded/tcp_assembly.h"
#include "tests/support/capture_builder.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

class Checker final : public recorded::MessageSink {
 public:
  void message(const recorded::Connection&, classifier::ObservedMessage&& message) override {
    const classifier::Trace& trace = message.trace;
    const auto again = classifier::parse_trace(classifier::print(trace));
    require(std::holds_alternative<classifier::Trace>(again));
    require(std::get<classifier::Trace>(again) == trace);
    std::uint64_t size = 0;
    if (trace.records.empty()) {
      for (const auto& segment : trace.segments) size += segment.size;
    } else {
      for (const auto& record : trace.records) size += record.size;
    }
    require(size <= trace.size);
    require(trace.state != classifier::State::Complete || size == trace.size);
    const auto verdict = classifier::classify(trace, {});
    require(verdict.confidence >= 0 && verdict.confidence <= 1);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  try {
    recorded::PcapReader reader(
        support::read_from(std::string(reinterpret_cast<const char*>(data), size)));
    Checker checker;
    recorded::TcpAssembly::Limits limits;
    limits.flows = 4;
    limits.waiting_bytes = 64 * 1024;
    recorded::TcpAssembly assembly(checker, limits);
    recorded::TcpPacket packet;
    while (reader.next(packet) == recorded::PcapReader::Got::Packet) {
      assembly.packet(packet);
      require(assembly.flows() <= limits.flows);
      // The bytes of one packet may wait until the next packet comes.
      require(assembly.waiting_bytes() <= limits.waiting_bytes + size + 1024);
    }
    assembly.finish();
    require(assembly.waiting_bytes() == 0);
  } catch (const std::runtime_error&) {
    // Not a capture: refused.
  }
  return 0;
}
