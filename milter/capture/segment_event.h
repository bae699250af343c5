/* The kernel filter's report of one packet. segments.bpf.c writes it in the kernel, and
 * kernel_filter.cc reads it. The header is valid C and C++, so there is one definition for both
 * sides.
 */
#pragma once

#include <linux/types.h>

#ifdef __cplusplus
namespace capture {
#endif

/* One packet before TCP has checked it: anyone who knows the connection's addresses and ports
 * may have sent it. A GRO or TSO super-packet is one event: its segments have gso_size bytes
 * each, and the last one has the rest.
 */
struct SegmentEvent {
#ifdef __cplusplus
  static constexpr __u8 kPsh = 0x08;
  static constexpr __u8 kUrg = 0x20;
#endif

  __u64 cookie;   /* SO_COOKIE of the socket */
  __u64 time_ns;  /* CLOCK_MONOTONIC */
  __u32 seq;      /* TCP sequence number of the first payload byte */
  __u32 ack;      /* the acknowledgement number, in the server's stream */
  __u32 size;     /* payload bytes, at least 1 */
  __u32 dropped;  /* events since load() that were lost because the ring was full */
  __u16 gso_size; /* 0: one segment */
  __u8 flags;     /* TCP flags byte, RFC 9293, 3.1 */
  __u8 pad[5];
};

#ifdef __cplusplus
static_assert(sizeof(SegmentEvent) == 40);
/* Increase this with every change of SegmentEvent: after an upgrade a program reads the ring of
 * an older one, and both must use the same layout.
 */
inline constexpr int kSegmentEventVersion = 2;

}  // namespace capture
#endif
