#!/usr/bin/python3
"""Bytes pass the proxy unchanged: 500 messages, each delivered once through it and once without it.

    bytes_unchanged.py PROGRAM

Messages of 1 byte to 5 MB: 8-bit text, dots at line starts, lines longer than 998 and 2048 bytes, bare CR and bare LF, no header
at all, no line end at the end. A raw client writes them in random pieces. What Postfix delivered must have the same SHA-256 both
ways, except for the headers that Postfix and the filter add.
"""
import hashlib
import random
import re
import socket
import sys
import threading
import time
from pathlib import Path

from bed import report
from bed.smtp import Client, stuffed
from bed.testbed import DIRECT_PORT, Bed

MESSAGES, SESSIONS = 500, 2
# Fields that are added on the way, on top of the message; the test itself sends none of them.
ADDED = re.compile(rb"(?:(?:Return-Path|X-Original-To|Delivered-To|Received|X-Protocol-Pattern|Message-Id|"
                   rb"Date|From):.*\n(?:[ \t].*\n)*)")


def line(chance: random.Random) -> bytes:
    kind = chance.random()
    if kind < 0.1:
        return b"." * chance.randint(1, 4) + chance.choice((b"", b"x", b" \xe4\xf6"))
    if kind < 0.2:
        return bytes(chance.choices(range(128, 256), k=chance.randint(1, 90)))
    if kind < 0.23:
        return bytes(chance.choices(b"long \xfc.", k=chance.choice((998, 999, 2047, 2048, 2049, 5000))))
    if kind < 0.27:
        return b"a bare \r in a line, and \r\r two"
    if kind < 0.31:
        return b"a bare\nline feed"
    if kind < 0.34:
        return b"a tab\t, a NUL\0, an escape \x1b"
    if kind < 0.4:
        return b""
    return bytes(chance.choices(b"abcdefghij klmnop", k=chance.randint(1, 76)))


def size_of(number: int, chance: random.Random) -> int:
    """Messages of every size class, with few of the largest; about 60 MB in all."""
    if number < 20:
        return number + 1
    if number % 100 == 50:
        return 5 * 1024 * 1024
    if number % 25 == 7:
        return chance.randint(300_000, 1_000_000)
    return int(10 ** chance.uniform(0.5, 5))


def message(number: int) -> bytes:
    """The message as it is sent, with the final dot. Its first line is its test id, if it is long enough; shorter messages are
    identified by the order of delivery."""
    chance = random.Random(number)
    size = size_of(number, chance)
    content = bytearray()
    if chance.random() < 0.9 and size > 60:
        content += f"X-Test-Id: {number}\r\nSubject: bytes\r\n\r\n".encode()
    block = b"\r\n".join(line(chance) for _ in range(400)) + b"\r\n"
    while len(content) < size:
        content += block if size - len(content) > len(block) else line(chance) + b"\r\n"
    content = content[:size]
    # A cut may leave a single CR before the CRLF that stuffed() adds; it is sent unchanged.
    return stuffed(bytes(content))


class Sender(threading.Thread):
    """Sends each message of its share twice, directly and through the proxy, in random writes."""

    def __init__(self, bed: Bed, numbers: list[int]):
        super().__init__(daemon=True)
        self._bed, self._numbers = bed, numbers
        self.ids: dict[str, tuple[int, str]] = {}  # queue id -> message, way
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            for way, port in (("direct", DIRECT_PORT), ("proxied", 25)):
                client = self._bed.smtp(port)
                for number in self._numbers:
                    chance = random.Random(f"{number} {way}")
                    wire = message(number)
                    client.envelope("", "alice@example.org")
                    top = chance.choice((3, 1460, 70_000, 1_000_000))
                    text = client.data(wire, [chance.randint(1, top) for _ in range(40)])
                    self.ids[text.rsplit(" ", 1)[1]] = (number, way)
                client.quit()
        except Exception as error:
            self.error = error


def own_part(data: bytes) -> bytes:
    """What is left when the headers that were added on top are taken away."""
    at, end = 0, data.find(b"\n\n") + 2
    while (found := ADDED.match(data, at, end if end > 1 else len(data))):
        at = found.end()
    return data[at:]


def same_both_ways(checks: report.Checks, bed: Bed, connections: dict[str, socket.socket], numbers: list[int], where: str) -> None:
    """Messages of this test over each of two connections to the same Postfix."""
    found = {}
    for way, connection in connections.items():
        client = Client(connection)
        for number in numbers:
            client.envelope("", "alice@example.org")
            arrived = bed.postfix.delivered(client.data(message(number)).rsplit(" ", 1)[1])
            found[number, way] = hashlib.sha256(own_part(arrived.data)).hexdigest()
        client.quit()
    one, other = connections
    different = [number for number in numbers if found[number, one] != found[number, other]]
    checks.that(not different, f"{len(numbers)} messages have the same SHA-256 {where} (different: {different})")
    checks.that(len(set(found.values())) == len(numbers), "and no two have the same")


def digests(bed: Bed, ids: dict) -> dict[tuple[int, str], tuple[str, int, bool]]:
    """SHA-256 of each delivered message's own part, by (message, way); the queue id is in Received."""
    result = {}
    for delivered in bed.postfix.mailbox("alice").messages():
        found = re.search(rb"\bid ([0-9A-Za-z]+)\b", delivered.data[:3000])
        key = ids.get(found.group(1).decode()) if found else None
        if key:
            part = own_part(delivered.data)
            result[key] = (hashlib.sha256(part).hexdigest(), len(part), bool(delivered.labels()))
    return result


def main() -> int:
    began = time.monotonic()
    with Bed(Path(sys.argv[1]), {"header": {"max_runs": 20}}, tag="bytes") as bed:
        report.step(f"{MESSAGES} messages, each direct and through the proxy")
        senders = [Sender(bed, list(range(share, MESSAGES, SESSIONS))) for share in range(SESSIONS)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
            if sender.error:
                raise sender.error
        report.step("all sent; waiting for delivery")
        bed.postfix.wait_delivered("alice", 2 * MESSAGES, 120)
        ids = {key: value for sender in senders for key, value in sender.ids.items()}
        found = digests(bed, ids)
        checks = report.Checks()
        pairs = [(found.get((number, "direct")), found.get((number, "proxied"))) for number in range(MESSAGES)]
        missing = [number for number, pair in enumerate(pairs) if None in pair]
        different = [number for number, pair in enumerate(pairs) if None not in pair and pair[0][0] != pair[1][0]]
        volume = sum(pair[0][1] for pair in pairs if pair[0])
        labelled = sum(bool(pair[1] and pair[1][2]) for pair in pairs)
        unlike = len({pair[0][0] for pair in pairs if pair[0]})
        checks.that(not missing, f"every message was delivered both ways (missing: {missing[:10]})")
        checks.that(not different, f"the same SHA-256 both ways (different: {different[:10]})")
        # If the comparison cut everything away, all digests would be the same.
        checks.that(unlike > MESSAGES * 0.9, f"{unlike} different digests among {MESSAGES} messages")
        checks.that(labelled == MESSAGES, f"{labelled} of {MESSAGES} carry the header")
        print(f"{MESSAGES} messages, {volume / 1e6:.1f} MB delivered each way, "
              f"{len(different)} different, {time.monotonic() - began:.0f} s")
        return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
