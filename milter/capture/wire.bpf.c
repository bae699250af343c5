/* Runs in the kernel for every packet of the machine. It passes on what is needed to follow the
 * mail that this machine receives: one WireEvent (wire_event.h) for each segment with payload and
 * for each SYN, FIN and RST. It returns 0, so no packet is copied to the socket to which it is
 * attached (AF_PACKET, SOCK_DGRAM: the packet begins with the IP header).
 *
 * Bytes of the text that are passed on:
 *
 *     commands and replies   up to HEAD_LARGE bytes of each packet
 *     a message (after 354)  the first HEAD_SMALL and the last WIRE_TAIL bytes of each packet
 *     under TLS              the same as for a message; in addition the hellos, and the 5-byte
 *                            header of each record, found by walking from one to the next
 *
 * TLS out of step: if a packet arrives before an earlier one of its stream, its records cannot be
 * walked. Then whole packets are passed on (copy_part) until one begins with bytes that look like a
 * record. Packets that fill the hole later are also passed on whole.
 *
 * A connection is followed only if its SYN was seen:
 *
 *     client's SYN ─► half open ─► server's SYN-ACK ─► client acknowledges it ─► followed
 *
 * Anyone can send a SYN with any source address. So half-open connections have their own table, and
 * a flood of SYNs cannot evict connections that are followed. The client of a followed connection
 * has shown that it receives what the server sends to its address.
 *
 * TCP has not checked the packets yet, it may refuse them, and anyone may have sent them. The
 * server's packets can be trusted, because this machine sends them. They show how much of the
 * client's stream the server has accepted, and how many bytes the client can acknowledge. A
 * client's packet that contradicts either is ignored: a stranger who does not see the connection
 * would have to guess both numbers. wire/flow.h decides about the rest. With each packet it gets
 * the server's position at that time.
 *
 * If the ring is full, the lost event is also counted for its client. So the reader can check at
 * any time whether events of a connection may be missing.
 *
 * This file has more than 450 lines, because the compiler must see a whole kernel program to inline
 * it, and the verifier requires the inlining.
 */
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "milter/capture/wire_event.h"

#define NOTHING 0 /* bytes of the packet that the socket receives */

/* Chosen: enough for the end of data and a short command after it. */
#define HEAD_SMALL 32
#define HEAD_LARGE 1536 /* a whole segment on Ethernet */
#define PORTS 8
/* Records in one packet. Chosen: to have more, a packet of 64 KB would need records of less than
 * 16 bytes. Records beyond the limit are not found, and the direction is then out of step. */
#define MOST_RECORDS 4096
#define MOST_PARTS 64 /* one bit each in line_feeds */
/* Pieces of HEAD_LARGE bytes: together more than the largest packet, 64 KB. */
#define MOST_COPIES 48
/* Bytes of a direction after the start of TLS that are passed whole, for the hello. */
#define HELLO_CLIENT 4096
#define HELLO_SERVER 1024

#define FIN 0x01
#define SYN 0x02
#define RST 0x04
#define ACK 0x10

#define FAR_SEGMENT (16 << 20) /* more than the largest default receive window (tcp_rmem: 6 MB) */
/* Replies that a client has not acknowledged yet; chosen, far more than replies need. */
#define FAR_ACK (1 << 20)

#define PACKET_HOST 0
#define PACKET_OUTGOING 4
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define TCP 6

struct small_event {
  struct WireEvent event;
  __u8 head[HEAD_SMALL];
};

struct large_event {
  struct WireEvent event;
  __u8 head[HEAD_LARGE];
};

enum mode { COMMANDS, TEXT, TLS };

struct key {
  __u8 client[16];
  __u8 server[16];
  __u16 client_port;
  __u16 server_port;
};

/* The state of walking the records of one direction under TLS. */
struct walk_state {
  __u32 busy;     /* another processor is walking */
  __u32 next;     /* sequence number of the next byte of a record header */
  __u32 begin;    /* sequence number at which TLS begins in this direction */
  __u32 hole_end; /* bytes before this sequence number were not walked */
  /* The header bytes read so far, the newest last; in the end the record's length. */
  __u32 length;
  __u8 type;
  __u8 minor;
  __u8 read; /* how many bytes of the header were read */
  __u8 begun;
  __u8 out_of_step;
  __u8 hole;
};

struct half_open {
  __u32 ifindex; /* interface on which the SYN came in */
  __u32 isn;     /* the SYN's sequence number */
  __u32 taken;   /* as in struct flow; 0 until the server has answered */
  __u32 said;
  __u8 answered;
};

struct flow {
  __u32 ifindex; /* interface on which the client's packets come in */
  __u32 taken;   /* sequence number of the next byte that the server expects */
  __u32 said;    /* sequence number after the last byte that the server has sent */
  __u8 mode;
  __u8 acked;                /* the handshake's third packet was seen */
  struct walk_state walk[2]; /* client, server */
};

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096); /* the loader sets the real size */
} events SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 1024); /* the loader sets the real size */
  __type(key, struct key);
  __type(value, struct flow);
} flows SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 1024); /* the loader sets the real size */
  __type(key, struct key);
  __type(value, struct half_open);
} half_open SEC(".maps");

const volatile __u16 ports[PORTS] = {};
const volatile __u64 wake_bytes = 0; /* bytes in the ring at which the reader is woken */
/* Random, so that no one can choose clients that share one slot. */
const volatile __u32 secret = 0;

__u64 dropped = 0;
/* Lost events by client; the index is wire_slot(), wire_event.h. */
__u32 dropped_of[WIRE_SLOTS] = {};

struct packet {
  struct key key;
  __u32 seq;
  __u32 ack;
  __u32 taken;
  __u32 payload; /* offset */
  __u32 size;
  __u16 gso_size;
  __u8 tcp_flags;
  __u8 flags;
};

static __always_inline int is_mail(__u16 port) {
  for (int i = 0; i < PORTS; ++i) {
    if (ports[i] == port && port != 0) return 1;
  }
  return 0;
}

static __always_inline void map_v4(__u8* address, const __u8* v4) {
  address[10] = 0xff;
  address[11] = 0xff;
  __builtin_memcpy(address + 12, v4, 4);
}

/* Accepts only packets that came in for a mail port or that leave from one. Connections that
 * this machine opens to other servers are ignored.
 */
static __always_inline int read_headers(struct __sk_buff* skb, struct packet* packet) {
  __u8 source[16] = {}, destination[16] = {};
  __u32 tcp_at, end;
  if (skb->protocol == bpf_htons(ETH_P_IP)) {
    __u8 ip[20];
    if (bpf_skb_load_bytes(skb, 0, ip, sizeof ip) < 0) return 0;
    if (ip[9] != TCP || (ip[6] & 0x3f) || ip[7]) return 0; /* fragments are not followed */
    tcp_at = (ip[0] & 0x0f) * 4;
    end = (__u32)ip[2] << 8 | ip[3];
    map_v4(source, ip + 12);
    map_v4(destination, ip + 16);
  } else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
    __u8 ip[40];
    if (bpf_skb_load_bytes(skb, 0, ip, sizeof ip) < 0) return 0;
    if (ip[6] != TCP) return 0; /* extension headers are not followed */
    tcp_at = sizeof ip;
    end = ((__u32)ip[4] << 8 | ip[5]) + (ip[4] || ip[5] ? (__u32)sizeof ip : 0);
    __builtin_memcpy(source, ip + 8, 16);
    __builtin_memcpy(destination, ip + 24, 16);
    packet->flags |= WIRE_V6;
  } else {
    return 0;
  }
  __u8 tcp[20];
  if (bpf_skb_load_bytes(skb, tcp_at, tcp, sizeof tcp) < 0) return 0;
  const __u16 from = (__u16)(tcp[0] << 8 | tcp[1]);
  const __u16 to = (__u16)(tcp[2] << 8 | tcp[3]);
  if (skb->pkt_type == PACKET_HOST) {
    if (!is_mail(to)) return 0;
    __builtin_memcpy(packet->key.client, source, 16);
    __builtin_memcpy(packet->key.server, destination, 16);
    packet->key.client_port = from;
    packet->key.server_port = to;
  } else if (skb->pkt_type == PACKET_OUTGOING) {
    if (!is_mail(from)) return 0;
    __builtin_memcpy(packet->key.client, destination, 16);
    __builtin_memcpy(packet->key.server, source, 16);
    packet->key.client_port = to;
    packet->key.server_port = from;
    packet->flags |= WIRE_FROM_SERVER;
  } else {
    return 0;
  }
  packet->seq = (__u32)tcp[4] << 24 | (__u32)tcp[5] << 16 | (__u32)tcp[6] << 8 | tcp[7];
  packet->ack = (__u32)tcp[8] << 24 | (__u32)tcp[9] << 16 | (__u32)tcp[10] << 8 | tcp[11];
  packet->tcp_flags = tcp[13];
  packet->payload = tcp_at + (tcp[12] >> 4) * 4;
  /* 0: the packet is larger than the length field can express. */
  if (end == 0 || end > skb->len) end = skb->len;
  packet->size = end > packet->payload ? end - packet->payload : 0;
  packet->gso_size = (__u16)skb->gso_size;
  return 1;
}

static __always_inline void describe(const struct packet* packet, struct WireEvent* event) {
  event->time_ns = bpf_ktime_get_ns();
  event->line_feeds = 0;
  event->returns = 0;
  __builtin_memcpy(event->client, packet->key.client, 16);
  __builtin_memcpy(event->server, packet->key.server, 16);
  event->seq = packet->seq;
  event->ack = packet->ack;
  event->taken = packet->taken;
  event->size = packet->size;
  event->client_port = packet->key.client_port;
  event->server_port = packet->key.server_port;
  event->gso_size = packet->gso_size;
  event->head_size = 0;
  event->tcp_flags = packet->tcp_flags;
  event->flags = packet->flags;
  event->tail_size = 0;
  event->records = 0;
}

/* The reader drains the ring when it gets a question. It is woken only if the ring would fill up
 * before that.
 */
static __always_inline void submit(void* event) {
  const __u64 flags = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) >= wake_bytes
                          ? BPF_RB_FORCE_WAKEUP
                          : BPF_RB_NO_WAKEUP;
  bpf_ringbuf_submit(event, flags);
}

/* Copies up to `size` bytes at `from` of the packet to `to`, and returns how many were copied.
 * The barrier prevents the compiler from checking one register and passing another, which the
 * verifier refuses.
 */
static __always_inline __u16 load(struct __sk_buff* skb, __u32 from, void* to, __u64 size,
                                  __u64 most) {
  if (size > most) size = most;
  barrier_var(size);
  if (size == 0 || size > most) return 0;
  return bpf_skb_load_bytes(skb, from, to, (__u32)size) < 0 ? 0 : (__u16)size;
}

static __always_inline void lost_one(const struct packet* packet) {
  const __u32 slot = wire_slot(packet->key.client, packet->key.client_port, secret);
  /* The mask shows the verifier that the index is in range. */
  __sync_fetch_and_add(&dropped_of[slot & (WIRE_SLOTS - 1)], 1);
  __sync_fetch_and_add(&dropped, 1);
}

/* --- connections: what the server's packets say about them ---------------------------------------
 */

static __always_inline struct flow* begin(const struct packet* packet,
                                          const struct half_open* half) {
  const struct flow fresh = {.ifindex = half->ifindex, .taken = half->taken, .said = half->said};
  bpf_map_update_elem(&flows, &packet->key, &fresh, BPF_ANY);
  bpf_map_delete_elem(&half_open, &packet->key);
  return bpf_map_lookup_elem(&flows, &packet->key);
}

/* Handles the first two packets of a handshake. Returns 1 if the packet is one of them and must
 * be passed on.
 */
static __always_inline int shake_hands(const struct packet* packet, __u32 ifindex) {
  if (!(packet->flags & WIRE_FROM_SERVER)) {
    const struct half_open fresh = {.ifindex = ifindex, .isn = packet->seq};
    bpf_map_update_elem(&half_open, &packet->key, &fresh, BPF_ANY);
    return 1;
  }
  struct half_open* half = bpf_map_lookup_elem(&half_open, &packet->key);
  if (!half) return 0;
  half->taken = packet->ack;
  half->said = packet->seq + 1;
  half->answered = 1;
  /* RFC 7413: the client has sent data with its SYN, and a cookie that the server once sent to
   * its address. So the client is already known to receive what is sent there.
   */
  if (packet->ack != half->isn + 1) begin(packet, half);
  return 1;
}

/* Finds the flow of a client's packet that has none yet: this packet may complete the handshake. */
static __always_inline struct flow* complete(const struct packet* packet) {
  const struct half_open* half = bpf_map_lookup_elem(&half_open, &packet->key);
  if (!half || !half->answered || (packet->tcp_flags & (ACK | RST)) != ACK) return 0;
  if (packet->ack != half->said) return 0;
  return begin(packet, half);
}

static __always_inline void server_speaks(struct flow* flow, const struct packet* packet) {
  const __u32 end = packet->seq + packet->size + (packet->tcp_flags & FIN ? 1 : 0);
  if ((__s32)(end - flow->said) > 0) flow->said = end;
  if ((packet->tcp_flags & ACK) && (__s32)(packet->ack - flow->taken) > 0) {
    flow->taken = packet->ack;
  }
}

/* True if TCP might accept this packet of the client. A reset does not have to acknowledge
 * anything.
 */
static __always_inline int credible(const struct flow* flow, const struct packet* packet) {
  const __s32 ahead = (__s32)(packet->seq - flow->taken);
  const __s32 unsaid = (__s32)(packet->ack - flow->said);
  if (ahead > FAR_SEGMENT || ahead + (__s32)packet->size < -FAR_SEGMENT) return 0;
  if (packet->tcp_flags & RST) return 1;
  return (packet->tcp_flags & ACK) && unsaid <= 0 && unsaid > -FAR_ACK;
}

/* --- super-packets: how each of their segments ends ---------------------------------------------
 */

struct parts {
  struct __sk_buff* skb;
  __u32 payload;
  __u32 size;
  __u32 unit;
  __u64 line_feeds;
  __u64 returns;
};

static long look_at_part(__u32 i, struct parts* parts) {
  const __u32 end = (i + 1) * parts->unit;
  /* The end of the last segment is in the tail. */
  if (end >= parts->size || i >= MOST_PARTS) return 1;
  __u8 last;
  if (bpf_skb_load_bytes(parts->skb, parts->payload + end - 1, &last, 1) < 0) return 1;
  if (last == '\n') parts->line_feeds |= 1ULL << i;
  if (last == '\r') parts->returns |= 1ULL << i;
  return 0;
}

/* --- replies: does the server ask for a message? ------------------------------------------------
 */

/* Decides by the reply's last line. The reply to DATA is one line of at most 512 bytes (RFC
 * 5321, 4.5.3.1.5), so a reply that continues beyond 512 bytes is a reply to another command.
 */
static __always_inline __u8 mode_behind(const __u8* reply, __u32 size) {
  __u8 mode = COMMANDS;
  int at_start = 1;
  for (__u32 i = 0; i + 3 < 512; ++i) {
    if (i + 3 >= size) break;
    if (at_start) {
      mode = reply[i] == '3' && reply[i + 1] == '5' && reply[i + 2] == '4' ? TEXT : COMMANDS;
    }
    at_start = reply[i] == '\n';
  }
  return mode;
}

/* --- records ------------------------------------------------------------------------------------
 */

struct walk {
  struct __sk_buff* skb;
  struct packet* packet;
  struct walk_state* state;
  __u32 at; /* place in the payload: the next byte of a header */
  __u32 count;
  struct WireRecord record[WIRE_RECORDS];
};

static __always_inline void pass_records(struct walk* walk) {
  struct small_event* to = bpf_ringbuf_reserve(&events, sizeof *to, 0);
  if (!to) return lost_one(walk->packet);
  describe(walk->packet, &to->event);
  to->event.flags |= WIRE_NOTE;
  to->event.records = WIRE_RECORDS;
  __builtin_memcpy(to->event.record, walk->record, sizeof walk->record);
  submit(to);
}

static __always_inline void add_record(struct walk* walk, __u32 at, __u32 length, __u8 type,
                                       __u8 minor) {
  if (walk->count == WIRE_RECORDS) {
    pass_records(walk);
    walk->count = 0;
  }
  const __u32 slot = walk->count & (WIRE_RECORDS - 1);
  walk->record[slot].at = at;
  walk->record[slot].length = (__u16)length;
  walk->record[slot].type = type;
  walk->record[slot].minor = minor;
  ++walk->count;
}

static long walk_header(__u32 i, struct walk* walk) {
  struct walk_state* state = walk->state;
  if (walk->at >= walk->packet->size) return 1;
  const __u32 where = walk->packet->payload + walk->at;
  if (state->read == 0 && walk->at + 5 <= walk->packet->size) {
    __u8 header[5];
    if (bpf_skb_load_bytes(walk->skb, where, header, sizeof header) < 0) return 1;
    const __u32 length = (__u32)header[3] << 8 | header[4];
    add_record(walk, walk->at, length, header[0], header[2]);
    walk->at += 5 + length;
    return 0;
  }
  /* The packet ends inside this record header: read it byte by byte. */
  __u8 byte;
  if (bpf_skb_load_bytes(walk->skb, where, &byte, 1) < 0) return 1;
  if (state->read == 0) state->type = byte;
  if (state->read == 2) state->minor = byte;
  state->length = (state->length << 8 | byte) & 0xffff;
  ++walk->at;
  if (++state->read == 5) {
    add_record(walk, walk->at - 5, state->length, state->type, state->minor);
    walk->at += state->length;
    state->read = 0;
  }
  return 0;
}

/* True for an application data record (23) of version 3.3, which TLS 1.2 and 1.3 write, with at
 * most 2^14 + 2048 bytes (0x4800; RFC 5246, 6.2.3). */
static __always_inline int looks_like_record(struct __sk_buff* skb, const struct packet* packet) {
  __u8 header[5];
  if (packet->size < sizeof header) return 0;
  if (bpf_skb_load_bytes(skb, packet->payload, header, sizeof header) < 0) return 0;
  return header[0] == 23 && header[1] == 3 && header[2] == 3 && header[3] <= 0x48;
}

/* Returns 1 if the packet must be passed whole. */
static __always_inline int walk_alone(struct __sk_buff* skb, struct packet* packet,
                                      struct walk_state* state, struct walk* walk) {
  if (!state->begun) {
    state->begun = 1;
    state->next = state->begin = packet->seq;
  }
  if ((__s32)(state->next - packet->seq) < 0) {
    state->out_of_step = 1;
    if (looks_like_record(skb, packet)) {
      state->out_of_step = 0;
      state->hole = 1;
      state->hole_end = packet->seq;
      state->next = packet->seq;
      state->read = 0;
    }
  }
  if (state->out_of_step) return 1;
  const __u32 ahead = state->next - packet->seq;
  if (ahead < packet->size) {
    walk->at = ahead;
    bpf_loop(MOST_RECORDS, walk_header, walk, 0);
    state->next = packet->seq + walk->at;
  }
  return state->hole && (__s32)(state->hole_end - packet->seq) > 0;
}

/* Packets of one connection may be processed on two processors at the same time. The second
 * processor then passes its packet whole, and the reader finds the records between the two
 * packets that were walked.
 */
static __always_inline int walk_records(struct __sk_buff* skb, struct packet* packet,
                                        struct walk_state* state, struct walk* walk) {
  if (__sync_val_compare_and_swap(&state->busy, 0, 1) != 0) return 1;
  const int whole = walk_alone(skb, packet, state, walk);
  __sync_val_compare_and_swap(&state->busy, 1, 0);
  return whole;
}

/* --- whole packets ------------------------------------------------------------------------------
 */

struct copy {
  struct __sk_buff* skb;
  struct packet* packet;
};

/* Passes the rest of a packet, after the bytes that the packet's own event has. */
static long copy_part(__u32 i, struct copy* copy) {
  const __u32 begin = (i + 1) * HEAD_LARGE;
  if (begin >= copy->packet->size) return 1;
  struct large_event* to = bpf_ringbuf_reserve(&events, sizeof *to, 0);
  if (!to) {
    lost_one(copy->packet);
    return 1;
  }
  describe(copy->packet, &to->event);
  to->event.flags |= WIRE_NOTE;
  to->event.seq = copy->packet->seq + begin;
  to->event.head_size = load(copy->skb, copy->packet->payload + begin, to->head,
                             copy->packet->size - begin, HEAD_LARGE);
  submit(to);
  return 0;
}

/* --- the packet's own event ---------------------------------------------------------------------
 */

static __always_inline void fill(struct __sk_buff* skb, const struct packet* packet,
                                 const struct parts* parts, const struct walk* walk,
                                 struct WireEvent* event) {
  describe(packet, event);
  event->line_feeds = parts->line_feeds;
  event->returns = parts->returns;
  event->records = (__u8)walk->count;
  __builtin_memcpy(event->record, walk->record, sizeof walk->record);
  const __u32 tail = packet->size > WIRE_TAIL ? WIRE_TAIL : packet->size;
  event->tail_size =
      (__u8)load(skb, packet->payload + packet->size - tail, event->tail, tail, WIRE_TAIL);
}

/* For a SYN the reader also needs the IP and TCP headers. */
static __always_inline void pass_syn(struct __sk_buff* skb, const struct packet* packet) {
  struct large_event* to = bpf_ringbuf_reserve(&events, sizeof *to, 0);
  if (!to) return lost_one(packet);
  describe(packet, &to->event);
  __builtin_memset(to->event.tail, 0, sizeof to->event.tail);
  __builtin_memset(to->event.record, 0, sizeof to->event.record);
  to->event.head_size = load(skb, 0, to->head, packet->payload + packet->size, HEAD_LARGE);
  submit(to);
}

static __always_inline void pass(struct __sk_buff* skb, struct packet* packet, struct flow* flow) {
  const int from_server = packet->flags & WIRE_FROM_SERVER;
  const int handshake = !flow->acked && !from_server && (packet->tcp_flags & ACK);
  if (handshake) flow->acked = 1;
  if (packet->size == 0 && !handshake && !(packet->tcp_flags & (FIN | RST))) return;

  struct walk walk = {.skb = skb, .packet = packet};
  int large = flow->mode == COMMANDS;
  if (packet->size != 0) {
    if (flow->mode != TLS && !from_server) {
      __u8 first[2] = {};
      if (packet->size >= 2) bpf_skb_load_bytes(skb, packet->payload, first, sizeof first);
      if (first[0] == 0x16 && first[1] == 3 && flow->mode == COMMANDS) flow->mode = TLS;
    }
    if (flow->mode == TLS) {
      struct walk_state* state = &flow->walk[from_server ? 1 : 0];
      walk.state = state;
      const int whole = walk_records(skb, packet, state, &walk);
      const __u32 hello = from_server ? HELLO_SERVER : HELLO_CLIENT;
      large = whole || packet->seq - state->begin < hello;
      if (whole) {
        struct copy copy = {.skb = skb, .packet = packet};
        bpf_loop(MOST_COPIES, copy_part, &copy, 0);
      }
    } else if (from_server) {
      large = 1;
    }
  }

  struct parts parts = {
      .skb = skb, .payload = packet->payload, .size = packet->size, .unit = packet->gso_size};
  if (packet->gso_size != 0 && !from_server) bpf_loop(MOST_PARTS, look_at_part, &parts, 0);

  if (large) {
    struct large_event* to = bpf_ringbuf_reserve(&events, sizeof *to, 0);
    if (!to) {
      lost_one(packet);
      return;
    }
    fill(skb, packet, &parts, &walk, &to->event);
    const __u16 loaded = load(skb, packet->payload, to->head, packet->size, HEAD_LARGE);
    to->event.head_size = loaded;
    if (from_server && loaded != 0 && flow->mode != TLS) {
      flow->mode = mode_behind(to->head, loaded);
    }
    submit(to);
  } else {
    struct small_event* to = bpf_ringbuf_reserve(&events, sizeof *to, 0);
    if (!to) {
      lost_one(packet);
      return;
    }
    fill(skb, packet, &parts, &walk, &to->event);
    to->event.head_size = load(skb, packet->payload, to->head, packet->size, HEAD_SMALL);
    submit(to);
  }
}

SEC("socket")
int see_packet(struct __sk_buff* skb) {
  struct packet packet = {};
  if (!read_headers(skb, &packet)) return NOTHING;
  if (packet.tcp_flags & SYN) {
    if (shake_hands(&packet, skb->ifindex)) pass_syn(skb, &packet);
    return NOTHING;
  }
  struct flow* flow = bpf_map_lookup_elem(&flows, &packet.key);
  if (packet.flags & WIRE_FROM_SERVER) {
    if (!flow) return NOTHING;
    server_speaks(flow, &packet);
  } else {
    /* A client may reuse the address and port of an older connection. Until its handshake is
     * complete, the flow in the table is the older one.
     */
    if (!flow || !credible(flow, &packet)) flow = complete(&packet);
    /* A bridge and its port both show an incoming packet. Only one of them counts. */
    if (!flow || flow->ifindex != skb->ifindex || !credible(flow, &packet)) return NOTHING;
    packet.taken = flow->taken;
  }
  pass(skb, &packet, flow);
  /* A mail server that closes its side reads no more. */
  const int over = (packet.flags & WIRE_FROM_SERVER) && (packet.tcp_flags & (FIN | RST));
  if (over) bpf_map_delete_elem(&flows, &packet.key);
  return NOTHING;
}

/* Some helpers may be used only by GPL-compatible programs. "Dual BSD/GPL" is a value that the
 * kernel accepts for this.
 */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
