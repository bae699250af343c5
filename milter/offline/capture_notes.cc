#include "milter/offline/capture_notes.h"

#include <fmt/format.h>

namespace offline {
namespace {

constexpr std::string_view kPorts = "25, 465, 587 or 2525";

// "1 packet", "2 packets".
std::string counted(std::uint64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string why_no_message(const CaptureNotes& notes) {
  const auto& counts = notes.counts;
  if (counts.packets == 0) return "no message: the capture has no packet";
  if (counts.tcp == 0) {
    return fmt::format("no message: none of {} could be read as TCP",
                       counted(counts.packets, "packet"));
  }
  if (counts.mail == 0) {
    return fmt::format(
        "no message: no packet is to or from port {}, and no SMTP session was found on other ports "
        "({} of TCP)",
        kPorts, counted(counts.tcp, "packet"));
  }
  const std::string mail =
      fmt::format("no message: {} to or from port {}", counted(counts.mail, "packet"), kPorts);
  if (counts.mail_filled == 0) {
    return mail + ", but none has payload (they are handshakes or port scans)";
  }
  if (counts.mail_seen == 0) {
    return mail + ", but no payload was captured (capture again with tcpdump -s 0)";
  }
  if (counts.mail_tls != 0) {
    return fmt::format("{}, {} of them with TLS; no message was found in the encrypted sessions",
                       mail, counts.mail_tls);
  }
  return mail + ", but none has a MAIL or DATA command";
}

}  // namespace

std::string note(const CaptureNotes& notes) {
  std::string text;
  const auto add = [&](const std::string& what) {
    if (!text.empty()) text += "; ";
    text += what;
  };
  if (notes.messages == 0) add(why_no_message(notes));
  if (const std::uint64_t packets = notes.not_read.packets(); packets != 0) {
    add(fmt::format("{} could not be read: {}", counted(packets, "packet"), notes.not_read.text()));
  }
  if (const auto& fragments = notes.fragments; fragments.left_out != 0) {
    add(fmt::format("{} left out, because the rest of the packet is missing{}",
                    counted(fragments.left_out, "IP fragment"),
                    fragments.overlapping == 0
                        ? ""
                        : fmt::format(" or its fragments overlap ({})", fragments.overlapping)));
  }
  if (notes.counts.cut != 0) {
    add(fmt::format("{} captured only in part (the capture's snaplen is too small)",
                    counted(notes.counts.cut, "packet")));
  }
  if (notes.copies != 0) {
    add(fmt::format("{} captured more than once and counted once",
                    counted(notes.copies, "packet")));
  }
  return text;
}

}  // namespace offline
