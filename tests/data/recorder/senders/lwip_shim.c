// A library in front of the C library: connections to port 25 are made by lwIP, everything else stays the kernel's.
//
//   program ─ connect, send, recv, poll ─► here ─► lwIP 2.1, options as Debian builds it ─► tap0
//
// A program keeps the kernel's descriptor, which is never connected, and its calls go to lwIP's. connect() returns when lwIP is
// connected, also where the program would not have waited. LWIP_ADDRESS and LWIP_GATEWAY say who it is on tap0; LWIP_USED is a
// file that is made when lwIP is.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <lwip/netif.h>
#include <lwip/tcpip.h>
#include <netif/tapif.h>

// lwip/sockets.h would define the C library's names anew.
int lwip_socket(int, int, int);
int lwip_connect(int, const struct sockaddr*, socklen_t);
int lwip_close(int);
int lwip_poll(struct pollfd*, nfds_t, int);
ssize_t lwip_send(int, const void*, size_t, int);
ssize_t lwip_recv(int, void*, size_t, int);

enum { kDescriptors = 1024 };
static int ours[kDescriptors];  // lwIP's descriptor + 1; 0: the kernel's
static struct sockaddr_in peers[kDescriptors];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct netif tap;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void start(void) {
  ip4_addr_t address, mask, gateway;
  ip4addr_aton(getenv("LWIP_ADDRESS"), &address);
  ip4addr_aton(getenv("LWIP_GATEWAY"), &gateway);
  IP4_ADDR(&mask, 255, 255, 255, 0);
  setenv("PRECONFIGURED_TAPIF", "tap0", 1);
  close(open(getenv("LWIP_USED"), O_CREAT | O_WRONLY, 0600));
  tcpip_init(NULL, NULL);
  LOCK_TCPIP_CORE();
  netif_add(&tap, &address, &mask, &gateway, NULL, tapif_init, tcpip_input);
  netif_set_default(&tap);
  netif_set_link_up(&tap);
  netif_set_up(&tap);
  UNLOCK_TCPIP_CORE();
}

static int by_lwip(int fd) {
  return fd >= 0 && fd < kDescriptors && ours[fd] != 0;
}

static int waits(int fd) {
  return (REAL(fcntl)(fd, F_GETFL) & O_NONBLOCK) == 0;
}

int connect(int fd, const struct sockaddr* to, socklen_t size) {
  const struct sockaddr_in* in = (const struct sockaddr_in*)to;
  if (to->sa_family != AF_INET || in->sin_port != htons(25) || fd >= kDescriptors)
    return REAL(connect)(fd, to, size);
  pthread_once(&once, start);
  const int made = lwip_socket(AF_INET, SOCK_STREAM, 0);
  if (made < 0 || lwip_connect(made, to, size) < 0) return -1;
  ours[fd] = made + 1;
  peers[fd] = *in;
  return 0;
}

int getpeername(int fd, struct sockaddr* to, socklen_t* size) {
  if (!by_lwip(fd)) return REAL(getpeername)(fd, to, size);
  memcpy(to, &peers[fd], *size < sizeof peers[fd] ? *size : sizeof peers[fd]);
  *size = sizeof peers[fd];
  return 0;
}

int poll(struct pollfd* all, nfds_t count, int timeout) {
  int some = 0;
  for (nfds_t i = 0; i < count; ++i) some |= by_lwip(all[i].fd);
  if (!some) return REAL(poll)(all, count, timeout);
  for (int waited = 0;; ++waited) {
    int ready = 0;
    for (nfds_t i = 0; i < count; ++i) {
      struct pollfd one = all[i];
      one.revents = 0;
      if (by_lwip(one.fd)) {
        one.fd = ours[one.fd] - 1;
        lwip_poll(&one, 1, 0);
      } else {
        REAL(poll)(&one, 1, 0);
      }
      all[i].revents = one.revents;
      ready += one.revents != 0;
    }
    if (ready || (timeout >= 0 && waited >= timeout)) return ready;
    usleep(1000);
  }
}

int select(int count, fd_set* in, fd_set* out, fd_set* odd, struct timeval* limit) {
  struct pollfd all[kDescriptors];
  int asked = 0, some = 0;
  for (int fd = 0; fd < count; ++fd) {
    const short events =
        (in && FD_ISSET(fd, in) ? POLLIN : 0) | (out && FD_ISSET(fd, out) ? POLLOUT : 0);
    if (events) all[asked++] = (struct pollfd){.fd = fd, .events = events};
    some |= events && by_lwip(fd);
  }
  if (!some) return REAL(select)(count, in, out, odd, limit);
  poll(all, asked, limit ? limit->tv_sec * 1000 + limit->tv_usec / 1000 : -1);
  int ready = 0;
  if (in) FD_ZERO(in);
  if (out) FD_ZERO(out);
  if (odd) FD_ZERO(odd);
  for (int i = 0; i < asked; ++i) {
    if (in && (all[i].revents & (POLLIN | POLLHUP))) FD_SET(all[i].fd, in), ++ready;
    if (out && (all[i].revents & POLLOUT)) FD_SET(all[i].fd, out), ++ready;
  }
  return ready;
}

ssize_t send(int fd, const void* bytes, size_t size, int flags) {
  if (!by_lwip(fd)) return REAL(send)(fd, bytes, size, flags);
  return lwip_send(ours[fd] - 1, bytes, size, waits(fd) ? 0 : MSG_DONTWAIT);
}
ssize_t sendto(int fd, const void* bytes, size_t size, int flags, const struct sockaddr* to,
               socklen_t length) {
  return by_lwip(fd) ? send(fd, bytes, size, flags)
                     : REAL(sendto)(fd, bytes, size, flags, to, length);
}
ssize_t write(int fd, const void* bytes, size_t size) {
  return by_lwip(fd) ? send(fd, bytes, size, 0) : REAL(write)(fd, bytes, size);
}

ssize_t recv(int fd, void* bytes, size_t size, int flags) {
  if (!by_lwip(fd)) return REAL(recv)(fd, bytes, size, flags);
  return lwip_recv(ours[fd] - 1, bytes, size, (flags & MSG_PEEK) | (waits(fd) ? 0 : MSG_DONTWAIT));
}
ssize_t recvfrom(int fd, void* bytes, size_t size, int flags, struct sockaddr* from,
                 socklen_t* length) {
  return by_lwip(fd) ? recv(fd, bytes, size, flags)
                     : REAL(recvfrom)(fd, bytes, size, flags, from, length);
}
ssize_t read(int fd, void* bytes, size_t size) {
  return by_lwip(fd) ? recv(fd, bytes, size, 0) : REAL(read)(fd, bytes, size);
}

int shutdown(int fd, int how) {
  return by_lwip(fd) ? 0 : REAL(shutdown)(fd, how);
}

int close(int fd) {
  if (by_lwip(fd)) {
    lwip_close(ours[fd] - 1);
    ours[fd] = 0;
  }
  return REAL(close)(fd);
}
