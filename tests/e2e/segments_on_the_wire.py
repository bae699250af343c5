#!/usr/bin/python3
"""The segments in the header are those that tcpdump saw on the wire, on every kind of link.

    segments_on_the_wire.py PROGRAM

For each condition a few dozen messages of all kinds are sent (one write, lines, blocks, random cuts, BDAT, several in a session,
several sessions at once; at the end some that do not wait for 354). tcpdump captures on the router's interface towards the server,
where segments are not merged. bed/pcap.py rebuilds each message's segments from the capture without any of the program's code. The
header's list must be the same for every message.
"""
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bed import report
from bed.link import Condition
from bed.smtp import stuffed
from bed.testbed import Bed


@dataclass(frozen=True)
class Round:
    name: str
    condition: Condition
    v6: bool = False
    messages: int = 80
    largest: int = 60_000


ROUNDS = [
    Round("offloads off", Condition()),
    # The wire carries MTU-size segments; the server's kernel joins them before a program can read them.
    Round("GRO on", Condition(receiver_offload=True)),
    Round("GRO on, IPv6", Condition(receiver_offload=True), v6=True, messages=40),
    Round("IPv6", Condition(), v6=True),
    Round("2 % loss", Condition(loss_permille=20), messages=100),
    Round("2 % loss, GRO on", Condition(loss_permille=20, receiver_offload=True), messages=60),
    Round("256 kbit/s", Condition(rate="256kbit"), messages=40, largest=12_000),
]
SESSIONS = 5  # at the same time


def content(test_id: str, size: int, chance: random.Random) -> bytes:
    """A message of about `size` bytes with lines of random length, some of them starting with a dot."""
    head = (f"Message-ID: <{test_id}@wire.example>\r\nX-Test-Id: {test_id}\r\nFrom: wire@wire.example\r\n"
            f"Subject: {test_id}\r\n\r\n").encode()
    lines, length = [head], len(head)
    while length < size:
        line = bytes(chance.choices(b". abcdefgh", k=chance.randint(0, 120))) + b"\r\n"
        lines.append(line)
        length += len(line)
    return b"".join(lines)


def cuts(size: int, chance: random.Random) -> list[int]:
    """How the message is written: in one write, in blocks, or at random."""
    kind = chance.choice(("whole", "block", "random", "first", "tail"))
    if kind == "block":
        return [chance.choice((1024, 2048, 4096, 8189, 8192))] * (size // 1024 + 1)
    if kind == "random":
        return [chance.randint(1, 4000) for _ in range(min(12, size // 500 + 1))]
    if kind == "first":
        return [chance.randint(20, 900)]
    return [size - chance.choice((3, 5, 100))] if kind == "tail" and size > 200 else []


class Sender(threading.Thread):
    """One session after another, some messages in each, until its share is sent."""

    def __init__(self, bed: Bed, task: Round, ids: list[str], seed: int):
        super().__init__(daemon=True)
        self._bed, self._task, self._ids, self._chance = bed, task, ids, random.Random(seed)
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            waiting = list(self._ids)
            while waiting:
                batch, waiting = waiting[:3], waiting[3:]
                self._session(batch)
        except Exception as error:
            self.error = error

    def _session(self, ids: list[str]) -> None:
        chance = self._chance
        client = self._bed.smtp(v6=self._task.v6, nodelay=chance.random() < 0.5)
        for test_id in ids:
            body = content(test_id, int(10 ** chance.uniform(2.4, 4.9)) % self._task.largest, chance)
            client.envelope("wire@wire.example", "alice@example.org")
            if chance.random() < 0.25:
                client.bdat(body, chance.choice((700, 4096, 20_000, 100_000)),
                            chance.choice(("apart", "joined", "pipelined")))
            else:
                wire = stuffed(body)
                client.data(wire, cuts(len(wire), chance), chance.choice((0, 0, 0.002, 0.02)))
        client.quit()


def measure(bed: Bed, task: Round, number: int) -> tuple[int, int, int]:
    """Runs one condition; returns messages, equal, different."""
    box = bed.postfix.mailbox("alice")
    box.clear()
    bed.link.set(task.condition)
    ids = [f"w{number}-{index}" for index in range(task.messages)]
    began = time.monotonic()
    with bed.capture(f"round{number}") as finish:
        senders = [Sender(bed, task, ids[share::SESSIONS], number * 100 + share)
                   for share in range(SESSIONS)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
            if sender.error:
                raise sender.error
        delivered = bed.postfix.wait_delivered("alice", task.messages, 60)
        transfers = {transfer.header("X-Test-Id"): transfer for transfer in finish().transfers()}
    equal = compare(task, ids, transfers, {message.value("X-Test-Id"): message for message in delivered})
    merged = Counter(size > 1448 for transfer in transfers.values() for size in transfer.segments)
    untidy = sum(transfer.resent for transfer in transfers.values())
    print(f"{task.name:18} {task.messages:5d} messages  {equal:5d} equal  {task.messages - equal:3d} different"
          f"   ({sum(merged.values())} segments, {untidy} messages in sessions with resent or reordered"
          f" segments, {time.monotonic() - began:.0f} s)", flush=True)
    if merged[True]:
        raise RuntimeError("the capture holds merged segments: the comparison would be void")
    return task.messages, equal, task.messages - equal


def compare(task: Round, ids: list[str], transfers: dict, delivered: dict) -> int:
    equal = 0
    for test_id in ids:
        transfer, message = transfers.get(test_id), delivered.get(test_id)
        labels = message.labels() if message else []
        if not transfer or len(labels) != 1:
            print(report.bad(f"  {test_id}: in the capture: {bool(transfer)}, delivered: {bool(message)}, "
                             f"headers: {len(labels)}"))
        elif labels[0].segments == transfer.segments:
            equal += 1
        else:
            print(report.bad(f"  {test_id} ({task.name}{', BDAT' if transfer.bdat else ''}) differs"))
            print(f"    wire    {transfer.segments}\n    header  {labels[0].segments}\n    {labels[0].raw}")
    return equal


def in_front_of_354(bed: Bed) -> tuple[int, int, int]:
    """Messages that arrive completely before Postfix has sent 354, which `sleep` delays. The second one is larger than the tracker's
    buffer. Returns the same as measure()."""
    task = Round("in front of 354", Condition())
    bed.postfix.set("smtpd_data_restrictions = sleep 1")
    bed.postfix.mailbox("alice").clear()
    bed.link.set(task.condition)
    sizes = {"early-20000": 20_000, "early-400000": 400_000}
    with bed.capture("early") as finish:
        for test_id, size in sizes.items():
            client = bed.smtp()
            client.send(b"MAIL FROM:<wire@wire.example>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n")
            time.sleep(0.2)  # so that the message begins with a segment of its own
            client.send(stuffed(content(test_id, size, random.Random(size))))
            answers = [client.reply()[0] for _ in range(4)]
            if answers != [250, 250, 354, 250]:
                raise RuntimeError(f"{test_id}: {answers}")
            client.quit()
        delivered = {message.value("X-Test-Id"): message for message in bed.postfix.wait_delivered("alice", len(sizes), 60)}
        transfers = {transfer.header("X-Test-Id"): transfer for transfer in finish().transfers()}
    equal = compare(task, list(sizes), transfers, delivered)
    print(f"{task.name:18} {len(sizes):5d} messages  {equal:5d} equal  {len(sizes) - equal:3d} different")
    return len(sizes), equal, len(sizes) - equal


def main() -> int:
    settings = {"header": {"max_runs": 1000}, "capture": {"method": "kernel"}}
    with Bed(Path(sys.argv[1]), settings, tag="wire") as bed:
        totals = [measure(bed, task, number) for number, task in enumerate(ROUNDS)] + [in_front_of_354(bed)]
        messages, equal, different = (sum(column) for column in zip(*totals))
        print(f"{'in all':18} {messages:5d} messages  {equal:5d} equal  {different:3d} different")
        if different:
            bed.show_logs()
        return 0 if messages >= 200 and different == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
