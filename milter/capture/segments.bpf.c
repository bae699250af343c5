/* Runs in the kernel for every packet that reaches a socket of the proxy, before the kernel joins
 * segments into its receive queue. For each one that carries payload it puts one SegmentEvent
 * (kernel_filter.h) into the ring. It only looks: it always lets the whole packet pass, whatever
 * goes wrong in here.
 *
 * A SOCKET_FILTER on a TCP socket sees the packet from the TCP header on. Attached to a listening
 * socket it is inherited by the sockets that are accepted from it.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define PASS 0x7fffffff
#define TCP_HEADER_FIXED 14 /* up to and with the flags byte; RFC 9293, 3.1 */

struct segment_event {
  __u64 cookie;
  __u64 time_ns;
  __u32 seq;
  __u32 size;
  __u16 gso_size;
  __u8 flags;
  __u8 pad[5];
};

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096); /* set before load */
} events SEC(".maps");

__u64 dropped = 0;

SEC("socket")
int see_segment(struct __sk_buff *skb) {
  __u8 tcp[TCP_HEADER_FIXED];
  if (bpf_skb_load_bytes(skb, 0, tcp, sizeof tcp) < 0) return PASS;
  __u32 header = (tcp[12] >> 4) * 4;
  if (skb->len <= header) return PASS;

  struct segment_event *event = bpf_ringbuf_reserve(&events, sizeof *event, 0);
  if (!event) {
    __sync_fetch_and_add(&dropped, 1);
    return PASS;
  }
  event->cookie = bpf_get_socket_cookie(skb);
  event->time_ns = bpf_ktime_get_ns();
  event->seq = (__u32)tcp[4] << 24 | (__u32)tcp[5] << 16 | (__u32)tcp[6] << 8 | tcp[7];
  event->size = skb->len - header;
  event->gso_size = (__u16)skb->gso_size;
  event->flags = tcp[13];
  __builtin_memset(event->pad, 0, sizeof event->pad);
  /* Nobody sleeps on the ring: the worker looks when its socket becomes readable. */
  bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
  return PASS;
}

/* Some helpers are open to GPL-compatible programs only; BSD with GPL is the kernel's word for it. */
char LICENSE[] SEC("license") = "Dual BSD/GPL";
