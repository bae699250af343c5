/* What the wire's kernel program passes on of one packet: written by wire.bpf.c in the kernel, read
 * by wire_tap.cc. In the words that C and C++ share, so that there is one for both.
 */
#pragma once

#include <linux/types.h>

#ifdef __cplusplus
namespace capture {
#endif

enum WireSize {
  WIRE_TAIL = 16,    /* last bytes of a payload */
  WIRE_RECORDS = 16, /* of one event; a packet with more has notes in front of it */
  WIRE_SLOTS = 4096, /* that clients share by their hash; a power of two */
};

enum WireFlag { WIRE_FROM_SERVER = 1, WIRE_V6 = 2, WIRE_NOTE = 4 };

/* The header of one TLS record. RFC 8446, 5.1. */
struct WireRecord {
  __s32 at; /* of the header, in the packet's payload; it may begin in front of it */
  __u16 length;
  __u8 type;
  __u8 minor; /* of the version 3.x */
};

/* The first bytes of the payload follow it. */
struct WireEvent {
  __u64 time_ns;
  __u64 line_feeds; /* bit i: part i of a super-packet ends with LF */
  __u64 returns;    /* … with CR */
  __u8 client[16];
  __u8 server[16];
  __u32 seq;
  __u32 ack;
  __u32 taken; /* sequence number up to which the server has acknowledged the client's stream */
  __u32 size;  /* payload */
  __u16 client_port;
  __u16 server_port;
  __u16 gso_size;
  __u16 head_size;
  __u8 tcp_flags;
  __u8 flags; /* of WireFlag */
  __u8 tail_size;
  __u8 records;
  char tail[WIRE_TAIL];
  struct WireRecord record[WIRE_RECORDS];
};

/* In which of the WIRE_SLOTS a client's losses are counted. `address`: 16 bytes. */
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
static_assert(sizeof(WireEvent) == 232); /* four bytes of padding at its end among them */

}  // namespace capture
#endif
