"""Packets that TCP refuses. They are made by hand and sent from the client's namespace beside a real connection of the client.

A Forger captures what its connection really sends, so it knows the sequence numbers and timestamps, and sends its own packets in
between. A flood() sends prepared packets at a given rate. IPv4 only.
"""
import array
import ctypes
import random
import socket
import struct
import threading
import time
from dataclasses import dataclass

from .link import CLIENT4, SERVER4
from .netns import Namespace

FIN, SYN, RST, PSH, ACK, URG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
ETH_P_ALL = 3
_libc = ctypes.CDLL(None, use_errno=True)


def checksum(data: bytes) -> int:
    words = array.array("H", data + b"\0" * (len(data) % 2))
    total = sum(words)
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return socket.htons(~total & 0xffff)


def packet(source: tuple[str, int], target: tuple[str, int], seq: int, ack: int, flags: int = ACK | PSH,
           payload: bytes = b"", options: bytes = b"", window: int = 500, good: bool = True, urgent: int = 0) -> bytes:
    """An IPv4 packet; without `good` its TCP checksum is wrong."""
    header = struct.pack("!HHIIBBHHH", source[1], target[1], seq & 0xffffffff, ack & 0xffffffff,
                         (20 + len(options)) // 4 << 4, flags, window, 0, urgent) + options
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
    size = len(header) + len(payload)
    right = checksum(addresses + struct.pack("!BBH", 0, socket.IPPROTO_TCP, size) + header + payload)
    header = header[:16] + struct.pack("!H", right if good else right ^ 0x5555) + header[18:]
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + size, 0, 0, 64, socket.IPPROTO_TCP, 0) + addresses + header + payload


def timestamps(value: int, echo: int) -> bytes:
    """RFC 7323, 3.2, with its padding."""
    return struct.pack("!BBBBII", 1, 1, 8, 10, value & 0xffffffff, echo & 0xffffffff)


@dataclass
class Numbers:
    """A connection's numbers, as in its last packet."""
    seq: int = 0  # the number of the next byte
    ack: int = 0
    stamp: tuple[int, int] | None = None  # timestamp and echo


class Forger:
    """Requires: opened before the connection sends the packets from which its numbers are learned."""

    def __init__(self, space: Namespace, port: int = 25):
        self._raw = space.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))
        self._tap = space.inside(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL)))
        self._tap.bind(("eth0", ETH_P_ALL))
        self._tap.settimeout(0.05)
        self._port = port

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._raw.close()
        self._tap.close()

    def learn(self, connection: socket.socket) -> Numbers:
        """The connection's numbers, read when it has sent nothing for a moment."""
        mine, found = connection.getsockname()[1], Numbers()
        while True:
            try:
                data = self._tap.recv(65536)
            except TimeoutError:
                return found
            at = (data[0] & 0x0f) * 4
            if data[0] >> 4 != 4 or data[9] != socket.IPPROTO_TCP or len(data) < at + 20:
                continue
            source, _, seq, ack, offset, flags = struct.unpack_from("!HHIIBB", data, at)
            if source != mine:
                continue
            header = (offset >> 4) * 4
            size = struct.unpack_from("!H", data, 2)[0] - at - header
            found = Numbers((seq + size + bool(flags & SYN)) & 0xffffffff, ack, found.stamp)
            if header >= 32 and data[at + 20:at + 24] == b"\x01\x01\x08\x0a":
                found.stamp = struct.unpack_from("!II", data, at + 24)

    def send(self, connection: socket.socket, numbers: Numbers, offset: int, payload: bytes, good: bool = True,
             stamp: int = 0, ack: int | None = None, flags: int = ACK | PSH) -> None:
        """A packet of the connection, `offset` bytes after its current place in the stream; `stamp` is added to its timestamp."""
        options = timestamps(numbers.stamp[0] + stamp, numbers.stamp[1]) if numbers.stamp else b""
        data = packet((CLIENT4, connection.getsockname()[1]), (SERVER4, self._port), numbers.seq + offset,
                      numbers.ack if ack is None else ack, flags, payload, options, good=good)
        self._raw.sendto(data, (SERVER4, 0))


class _Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]


class _Header(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("name_size", ctypes.c_uint), ("vectors", ctypes.POINTER(_Vector)),
                ("count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_size", ctypes.c_size_t),
                ("flags", ctypes.c_int)]


class _Message(ctypes.Structure):
    _fields_ = [("header", _Header), ("sent", ctypes.c_uint)]


class Flood:
    """with Flood(space, packets, rate) as flood: …   sends the packets over and over, `rate` a second."""

    BATCH = 250

    def __init__(self, space: Namespace, packets: list[bytes], rate: int):
        self._raw = space.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))
        self._raw.connect((SERVER4, 0))
        self._packets, self._rate = [ctypes.create_string_buffer(data, len(data)) for data in packets], rate
        self._vectors = (_Vector * len(packets))()
        self._messages = (_Message * len(packets))()
        for vector, message, data in zip(self._vectors, self._messages, self._packets):
            vector.base, vector.size = ctypes.addressof(data), len(data)
            message.header.vectors, message.header.count = ctypes.pointer(vector), 1
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.sent, self.seconds = 0, 0.0

    def _run(self) -> None:
        start, at = time.monotonic(), 0
        while not self._stop.is_set():
            count = min(self.BATCH, len(self._packets) - at)
            sent = _libc.sendmmsg(self._raw.fileno(), ctypes.byref(self._messages, at * ctypes.sizeof(_Message)), count, 0)
            self.sent += max(sent, 0)
            at = (at + count) % len(self._packets)
            self.seconds = time.monotonic() - start
            ahead = self.sent / self._rate - self.seconds
            if ahead > 0:
                time.sleep(ahead)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self._raw.close()


def strangers(count: int, port: int = 25) -> list[bytes]:
    """ACKs with one byte of payload each, of connections that do not exist, from many addresses."""
    chance = random.Random(7)
    return [packet((f"10.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(1, 255)}",
                    chance.randrange(1024, 65536)), (SERVER4, port), chance.getrandbits(32), chance.getrandbits(32),
                   payload=b"x") for _ in range(count)]


def blind(count: int, connection: socket.socket, port: int = 25, size: int = 100) -> list[bytes]:
    """Packets for a connection, from an attacker who knows its addresses and ports but no sequence number."""
    chance = random.Random(11)
    return [packet((CLIENT4, connection.getsockname()[1]), (SERVER4, port), chance.getrandbits(32), chance.getrandbits(32),
                   payload=b"g" * size) for _ in range(count)]
