"""A round trip: every packet that the router forwards is delayed.

Not every kernel has netem, so packets take a detour. The router sends the packets of both sides into a TUN device. A thread reads
each packet, waits, and writes it back; then it is forwarded to its destination. The order is kept.
"""
import fcntl
import os
import select
import struct
import threading
import time
from collections import deque

from bed.netns import Namespace

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
DEVICE, TABLE = "detour", "100"
SIDES = ("client", "server")  # the router's interfaces


class Delay:
    """with Delay(router, 20): each packet is late by 20 ms, whichever way it goes."""

    def __init__(self, router: Namespace, milliseconds: float):
        self._router, self._seconds = router, milliseconds / 1000
        self._stop, self._wake = os.pipe()
        self._tun = router.inside(self._open)
        self._thread = threading.Thread(target=self._carry, daemon=True)

    @staticmethod
    def _open() -> int:
        tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TUN | IFF_NO_PI))
        return tun

    def __enter__(self):
        for side in ("all", DEVICE, *SIDES):
            self._router.sysctl(f"ipv4/conf/{side}/rp_filter", 0)
        self._router.ip("link", "set", DEVICE, "mtu", 9000, "txqueuelen", 2000, "up")
        self._router.ip("route", "add", "default", "dev", DEVICE, "table", TABLE)
        for side in SIDES:
            self._router.ip("rule", "add", "iif", side, "lookup", TABLE)
        self._thread.start()
        return self

    def __exit__(self, *_):
        for side in SIDES:
            self._router.ip("rule", "del", "iif", side, "lookup", TABLE)
        os.write(self._wake, b"x")
        self._thread.join()
        for descriptor in (self._tun, self._stop, self._wake):
            os.close(descriptor)

    def _carry(self) -> None:
        waiting = deque()
        while True:
            pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
            ready, _, _ = select.select([self._tun, self._stop], [], [], pause)
            if self._stop in ready:
                return
            if self._tun in ready:
                self._read(waiting)
            while waiting and waiting[0][0] <= time.monotonic():
                os.write(self._tun, waiting.popleft()[1])

    def _read(self, waiting: deque) -> None:
        while True:
            try:
                packet = os.read(self._tun, 65536)
            except BlockingIOError:
                return
            waiting.append((time.monotonic() + self._seconds, packet))
