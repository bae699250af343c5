/* Runs in the kernel for every packet that reaches a socket of the proxy, before the kernel joins
 * segments in the receive queue. For each packet with payload it puts one SegmentEvent
 * (segment_event.h) into the ring. It only observes: it always lets the whole packet pass, whatever
 * fails in here.
 *
 * A SOCKET_FILTER on a TCP socket sees the packet from the TCP header on. Sockets that are accepted
 * from a listening socket inherit its filter.
 *
 * The kernel runs the filter before TCP checks the packet. The checksum, the sequence number or the
 * timestamp may be wrong, and such a packet still makes an event. Code that reads the ring decides
 * which events belong to the stream (proxy/watch.h, classifier/arrivals.h).
 *
 * On the listening socket itself the filter also runs for packets that belong to no connection.
 * They make no event, because otherwise anyone could fill the ring without a connection. Two kinds
 * of packets of real clients are missed with them, because their socket does not exist yet: a SYN
 * with data (TCP Fast Open, RFC 7413), and the last ACK of a handshake with data. Each of them is
 * the first segment of its stream, and there is no event for its bytes. Watch::add_first_segment()
 * recognises this and adds the segment.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "milter/capture/segment_event.h"

#define PASS 0x7fffffff
#define TCP_HEADER_FIXED 14 /* up to and including the flags byte; RFC 9293, 3.1 */

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096); /* the loader sets the real size */
} events SEC(".maps");

const volatile __u64 wake_bytes = 0; /* bytes in the ring at which the worker is woken */

__u32 dropped = 0;

static __always_inline __u32 number(const __u8* bytes) {
  return (__u32)bytes[0] << 24 | (__u32)bytes[1] << 16 | (__u32)bytes[2] << 8 | bytes[3];
}

/* The worker reads the ring when one of its own sockets becomes readable, and needs no wake-up
 * for that. It is woken only if the ring fills while no socket becomes readable, for example
 * because a stranger sends packets that TCP discards.
 */
static __always_inline __u64 wake_up(void) {
  return bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) >= wake_bytes ? BPF_RB_FORCE_WAKEUP
                                                                     : BPF_RB_NO_WAKEUP;
}

SEC("socket")
int see_segment(struct __sk_buff* skb) {
  if (skb->sk && skb->sk->state == BPF_TCP_LISTEN) return PASS;
  __u8 tcp[TCP_HEADER_FIXED];
  if (bpf_skb_load_bytes(skb, 0, tcp, sizeof tcp) < 0) return PASS;
  __u32 header = (tcp[12] >> 4) * 4;
  if (skb->len <= header) return PASS;

  struct SegmentEvent* event = bpf_ringbuf_reserve(&events, sizeof *event, 0);
  if (!event) {
    __sync_fetch_and_add(&dropped, 1);
    return PASS;
  }
  event->cookie = bpf_get_socket_cookie(skb);
  event->time_ns = bpf_ktime_get_ns();
  event->seq = number(tcp + 4);
  event->ack = number(tcp + 8);
  event->size = skb->len - header;
  event->dropped = dropped;
  event->gso_size = (__u16)skb->gso_size;
  event->flags = tcp[13];
  __builtin_memset(event->pad, 0, sizeof event->pad);
  bpf_ringbuf_submit(event, wake_up());
  return PASS;
}

/* Some helpers may be used only by GPL-compatible programs. "Dual BSD/GPL" is a value that the
 * kernel accepts for this.
 */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
