/* The wire program's report of one packet. wire.bpf.c writes it in the kernel, and wire_tap.cc
 * reads it. The header is valid C and C++, so there is one definition for both sides.
 */
#pragma once

#include <linux/types.h>

#ifdef __cplusplus
namespace capture {
#endif

enum WireSize {
  WIRE_TAIL = 16,    /* last bytes of a payload: the end of data (5 bytes), with room to spare */
  WIRE_RECORDS = 16, /* in one event; a packet with more has notes before its own event */
  WIRE_SLOTS = 4096, /* counters that clients share by a hash of their address; a power of two */
};

enum WireFlag { WIRE_FROM_SERVER = 1, WIRE_V6 = 2, WIRE_NOTE = 4 };

/* The header of one TLS record. RFC 8446, 5.1. */
struct WireRecord {
  /* Place of the header in the packet's payload; negative: it begins in an earlier packet. */
  __s32 at;
  __u16 length;
  __u8 type;
  __u8 minor; /* 3.x in the record's version */
};

/* After this struct the event contains the first head_size bytes of the payload. */
struct WireEvent {
  __u64 time_ns;
  __u64 line_feeds; /* bit i: segment i of a super-packet ends with LF */
  __u64 returns;    /* the same for CR */
  __u8 client[16];
  __u8 server[16];
  __u32 seq;
  __u32 ack;
  __u32 taken; /* sequence number up to which the server has acknowledged the client's stream */
  __u32 size;  /* payload bytes */
  __u16 client_port;
  __u16 server_port;
  __u16 gso_size;
  __u16 head_size;
  __u8 tcp_flags;
  __u8 flags; /* values of WireFlag */
  __u8 tail_size;
  __u8 records;
  char tail[WIRE_TAIL];
  struct WireRecord record[WIRE_RECORDS];
};

/* Returns which of the WIRE_SLOTS counts the lost events of a client. `address`: 16 bytes. */
static inline __u32 wire_slot(const __u8* address, __u16 port, __u32 secret) {
  __u32 hash = secret ^ port;
  for (int i = 0; i < 16; i += 4) {
    __u32 word;
    __builtin_memcpy(&word, address + i, sizeof word);
    hash = (hash ^ word) * 0x9e3779b1U;
    hash ^= hash >> 15;
  }
  return hash % WIRE_SLOTS;
}

#ifdef __cplusplus
static_assert(sizeof(WireRecord) == 8);
static_assert(sizeof(WireEvent) == 232); /* includes four bytes of padding at its end */

}  // namespace capture
#endif
