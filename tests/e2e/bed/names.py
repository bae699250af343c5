"""A name server of the bed. It answers from its tables of addresses and names, and "no such name" for all others.

With it Postfix looks up its clients as on the internet: from the address to the name, and from the name back.
"""
import ipaddress
import socket
import struct
import threading

from .netns import Namespace

A, PTR, AAAA = 1, 12, 28
NO_ERROR, NO_SUCH_NAME = 0, 3


def reverse(address: str) -> str:
    return ipaddress.ip_address(address).reverse_pointer


def encoded(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


class NameServer:
    """`names`: address to name; `addresses`: name to address. Answers on 127.0.0.1:53 of `space`."""

    def __init__(self, space: Namespace, names: dict[str, str], addresses: dict[str, str]):
        self._answers = {(reverse(address), PTR): encoded(name) for address, name in names.items()}
        self._answers |= {(name, A): socket.inet_aton(address) for name, address in addresses.items()}
        self._socket = space.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._socket.bind(("127.0.0.1", 53))
        self.asked: list[tuple[str, int]] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                packet, peer = self._socket.recvfrom(4096)
                self._socket.sendto(self._answer(packet), peer)
            except OSError:
                return

    def _answer(self, packet: bytes) -> bytes:
        """RFC 1035, 4.1: the header with the question as it came, and one record or none."""
        labels, at = [], 12
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]].decode().lower())
            at += 1 + packet[at]
        question = packet[12:at + 5]
        name, kind = ".".join(labels), struct.unpack(">H", packet[at + 1:at + 3])[0]
        self.asked.append((name, kind))
        data = self._answers.get((name, kind))
        known = any(name == ours for ours, _ in self._answers)
        flags = 0x8580 | (NO_ERROR if known else NO_SUCH_NAME)
        header = packet[:2] + struct.pack(">HHHHH", flags, 1, 1 if data else 0, 0, 0)
        if not data:
            return header + question
        return header + question + b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data

    def close(self) -> None:
        self._socket.close()
