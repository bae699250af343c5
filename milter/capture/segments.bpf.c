/* Runs in the kernel for every packet that reaches a socket of the proxy, before the kernel joins
 * segments into its receive queue. For each one that carries payload it puts one SegmentEvent
 * (segment_event.h) into the ring. It only looks: it always lets the whole packet pass, whatever
 * goes wrong in here.
 *
 * A SOCKET_FILTER on a TCP socket sees the packet from the TCP header on. Attached to a listening
 * socket it is inherited by the sockets that are accepted from it.
 *
 * The kernel runs it before TCP has looked at the packet: checksum, sequence number and timestamp
 * may all be wrong, and such a packet makes an event like any other. What of the events the stream
 * really consists of is found out behind the ring (proxy/watch.h, classifier/arrivals.h).
 *
 * On the listening socket itself it runs for every packet of nobody's connection. Those make no
 * event, or anybody could fill the ring without a connection. Two packets of a true client are
 * passed by with them, because there is no socket yet that they could belong to: a SYN with data
 * (TCP Fast Open, RFC 7413), and a handshake's last ACK with data. Either is the first segment of
 * its stream, and no event stands for its bytes: Watch::add_first_segment() knows it by that.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "milter/capture/segment_event.h"

#define PASS 0x7fffffff
#define TCP_HEADER_FIXED 14 /* up to and with the flags byte; RFC 9293, 3.1 */

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096); /* set before load */
} events SEC(".maps");

const volatile __u64 wake_bytes = 0; /* that wait in the ring before the worker is woken */

__u32 dropped = 0;

static __always_inline __u32 number(const __u8* bytes) {
  return (__u32)bytes[0] << 24 | (__u32)bytes[1] << 16 | (__u32)bytes[2] << 8 | bytes[3];
}

/* The worker reads the ring when a socket of its own becomes readable, and needs no wake-up for
 * that. It is woken where the ring fills although nothing becomes readable: somebody sends packets
 * to a connection that TCP throws away. */
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

/* Some helpers are open to GPL-compatible programs only; BSD with GPL is the kernel's word for it.
 */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
