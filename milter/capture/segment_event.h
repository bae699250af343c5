/* What the kernel filter says of one packet: written by segments.bpf.c in the kernel, read by
 * kernel_filter.cc. In the words that C and C++ share, so that there is one for both.
 */
#pragma once

#include <linux/types.h>

#ifdef __cplusplus
namespace capture {
#endif

/* One segment, as the program saw it, before TCP has looked at it: anybody who knows the connection
 * may have sent it. A GRO or TSO super-packet is one event: the segments are gso_size bytes each,
 * the last what is left. */
struct SegmentEvent {
#ifdef __cplusplus
  static constexpr __u8 kPsh = 0x08;
  static constexpr __u8 kUrg = 0x20;
#endif

  __u64 cookie;   /* SO_COOKIE of the socket */
  __u64 time_ns;  /* CLOCK_MONOTONIC */
  __u32 seq;      /* TCP sequence number of the first payload byte */
  __u32 ack;      /* what it acknowledges of the server's stream */
  __u32 size;     /* payload bytes, at least 1 */
  __u32 dropped;  /* events that found the ring full, since load() */
  __u16 gso_size; /* 0: one segment */
  __u8 flags;     /* TCP flags byte, RFC 9293, 3.1 */
  __u8 pad[5];
};

#ifdef __cplusplus
static_assert(sizeof(SegmentEvent) == 40);
/* Changes with SegmentEvent: a program that takes over the ring of an older one must read it alike. */
inline constexpr int kSegmentEventVersion = 2;

}  // namespace capture
#endif
