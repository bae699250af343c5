#!/usr/bin/python3
"""The README's table of failures, row by row, under load: no message is lost, altered or bounced, and delays are printed.

    fail_open.py PROGRAM [ROW…]

smtp-source gives messages over 20 sessions to a real Postfix in the client's namespace. That sends them through the proxy over 20
sessions and, as SMTP requires, tries again what was not answered. In the middle something breaks. A message whose reply was lost is
sent again: such duplicates are part of SMTP (RFC 5321, 4.5.4.1), and they are counted.
"""
import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from bed import report
from bed.cutter import STATES, Cutter
from bed.disk import SmallDisk
from bed.process import wait_until
from bed.testbed import Bed

MESSAGES, SESSIONS, LENGTH = 240, 20, 20_000
SETTINGS = {"proxy": {"max_sessions_per_address": 200, "drain_timeout": "10s"}, "desk": {"listen": ["127.0.0.1:9125"]}}
FILTER = "smtpd_milters = {{ unix:segmilter/{}, default_action=accept, connect_timeout=2s, command_timeout=5s }}"


class Row:
    """One failure. `breaks` is called when `at` messages are delivered, then `mends`, and `after` at the end."""

    def __init__(self, name: str, breaks, mends=lambda bed: None, longest: float = 20, at: int = MESSAGES // 4,
                 after=lambda bed: None):
        self.name, self.breaks, self.mends, self.at, self.after = name, breaks, mends, at, after
        self.longest = longest  # the longest permitted delay of a message, in seconds


def struck(name: str, child: str, number: int, **options) -> Row:
    """A child gets a signal. The row ends when the child is replaced, so that the next row begins with all children."""
    pids = []

    def breaks(bed: Bed) -> None:
        pids.append(bed.segmilter.child(child))
        os.kill(pids[-1], number)

    def replaced(bed: Bed) -> None:
        wait_until(lambda: bed.segmilter.child(child) not in (0, pids[-1]), 30, f"another {child}")
        time.sleep(0.5)
    return Row(name, breaks, after=replaced, **options)


def supervisor(number: int):
    def strike(bed: Bed) -> None:
        if number == signal.SIGKILL:
            bed.segmilter.let_go()
        bed.segmilter.process.send_signal(number)
    return strike


def start_again(bed: Bed) -> None:
    """Does what systemd does when the supervisor has died."""
    bed.segmilter.process.wait(10)
    time.sleep(1)  # RestartSec
    bed.segmilter.start()


def awake(bed: Bed) -> None:
    time.sleep(8)
    bed.segmilter.process.send_signal(signal.SIGCONT)


def restarted(bed: Bed, **options) -> None:
    bed.segmilter.stop()
    bed.segmilter.start(**options)


def restarted_with(settings: dict):
    def restart(bed: Bed) -> None:
        bed.segmilter.write({**SETTINGS, **settings})
        restarted(bed)
    return restart


def broken_reload(bed: Bed) -> None:
    good = bed.segmilter.config.read_text()
    bed.segmilter.config.write_text(good + "\n[nonsense]\n")
    if "reload refused" not in bed.segmilter.reload():
        raise RuntimeError("the error was not found")
    bed.segmilter.config.write_text(good)


def postfix_stopped(bed: Bed) -> None:
    bed.postfix.stop()
    time.sleep(3)
    bed.postfix.log_file.rename(bed.postfix.log_file.with_suffix(".before"))
    bed.postfix.start()


def store(bed: Bed) -> Path:
    return bed.segmilter.root / "memory"


def said(bed: Bed, words: str) -> None:
    if words not in bed.segmilter.log():
        raise RuntimeError(f'the log does not say "{words}": nothing was broken')


def store_full() -> Row:
    """From the first message on; at its end the disk is large again."""
    disks = []

    def breaks(bed: Bed) -> None:
        disks.append(SmallDisk(store(bed), "64k").__enter__())
        disks[-1].fill()
        restarted(bed)

    def mends(bed: Bed) -> None:
        said(bed, "messages are not remembered")
        disks.pop().__exit__()
        restarted(bed)
    return Row("the store's disk is full", breaks, at=0, after=mends)


def store_damaged(bed: Bed) -> None:
    bed.segmilter.stop()
    for file in store(bed).glob("messages-????????.db"):
        file.write_bytes(b"no database " * 10_000)
    bed.segmilter.start()
    said(bed, "the file is moved to")


ROWS = [
    struck("the filter is killed", "filter", signal.SIGKILL),
    struck("the filter is stopped (SIGSTOP)", "filter", signal.SIGSTOP, longest=30),
    struck("the proxy is killed", "proxy", signal.SIGKILL),
    struck("the proxy is stopped (SIGSTOP)", "proxy", signal.SIGSTOP, longest=40),
    struck("the memory is killed", "memory", signal.SIGKILL),
    struck("the memory is stopped (SIGSTOP)", "memory", signal.SIGSTOP),
    store_full(),
    Row("the store's file is damaged", store_damaged),
    struck("the desk is killed", "desk", signal.SIGKILL),
    struck("the desk is stopped (SIGSTOP)", "desk", signal.SIGSTOP),
    Row("the supervisor is killed", supervisor(signal.SIGKILL), start_again),
    Row("the supervisor is stopped for 8 s (SIGSTOP)", supervisor(signal.SIGSTOP), awake),
    Row("segmilter is restarted", lambda bed: restarted(bed)),
    Row("the log's disk is full", lambda bed: restarted(bed, log=Path("/dev/full")), lambda bed: restarted(bed)),
    Row("no right to load the kernel filter", lambda bed: restarted(bed, without=("bpf", "sys_admin", "perfmon"))),
    Row("the evidence socket is gone", lambda bed: (bed.segmilter.root / "evidence.sock").unlink(),
        lambda bed: restarted(bed)),
    Row("ring and table have no room", restarted_with({"capture": {"ring_bytes": 4096}, "evidence": {"max_sessions": 3}}),
        at=0, after=restarted_with({})),
    Row("Postfix is stopped and started", postfix_stopped),
    Row("a reload with an error in the file", broken_reload),
]
# The same with the wire observer, where only the filter's question is in the mail's path.
WIRE_ROWS = [
    struck("the wire observer is killed", "wire", signal.SIGKILL),
    struck("the wire observer is stopped (SIGSTOP)", "wire", signal.SIGSTOP),
]


class Load:
    """Messages on their way from smtp-source to the mailbox."""

    def __init__(self, bed: Bed, sender):
        self.bed, self.sender = bed, sender

    def run(self, row: Row) -> dict:
        box = self.bed.postfix.mailbox("alice")
        box.clear()
        begin = len(self.sender.log())
        source = subprocess.Popen(self.bed.link.client.command(
            "smtp-source", "-s", SESSIONS, "-m", MESSAGES, "-l", LENGTH, "-f", "load@sender.example",
            "-t", "alice@example.org", "127.0.0.1:2525"))
        wait_until(lambda: box.count() >= row.at, 60, f"{row.at} messages", every=0.005)
        row.breaks(self.bed)
        row.mends(self.bed)
        if source.wait(60) != 0:
            raise RuntimeError("smtp-source could not hand its messages to the sending Postfix")
        wait_until(lambda: not self.sender.queued(), 120, "the sending Postfix to get rid of its mail", every=0.2)
        wait_until(lambda: not self.bed.postfix.queued(), 60, "delivery", every=0.2)
        row.after(self.bed)
        return self.look(self.sender.log()[begin:])

    def look(self, log: str) -> dict:
        messages = self.bed.postfix.mailbox("alice").messages()
        ids = Counter(message.value("Message-Id") for message in messages)
        bodies = {hashlib.sha256(message.data.split(b"\n\n", 1)[1]).hexdigest() for message in messages}
        labels = Counter(message.labels()[0].pattern if message.labels() else "no label" for message in messages)
        return {"delivered": len(ids), "twice": sum(count - 1 for count in ids.values()), "bodies": len(bodies),
                "bounced": log.count("status=bounced"), "deferred": log.count("status=deferred"),
                "delay": max(map(float, re.findall(r"delay=([\d.]+),.*status=sent", log)), default=0),
                "labels": ", ".join(f"{count} {name}" for name, count in labels.most_common())}


def judge(checks: report.Checks, row: Row, found: dict) -> list[str]:
    name = row.name
    checks.that(found["delivered"] == MESSAGES, f"{name}: {found['delivered']} of {MESSAGES} delivered")
    checks.that(found["bodies"] == 1, f"{name}: none altered ({found['bodies']} different bodies of one text)")
    checks.that(not found["bounced"], f"{name}: none bounced ({found['bounced']})")
    checks.that(found["twice"] <= SESSIONS, f"{name}: {found['twice']} twice, at most one of each cut session")
    checks.that(found["delay"] <= row.longest, f"{name}: none delayed for more than {row.longest:g} s ({found['delay']:.1f} s)")
    return [name, str(found["delivered"]), str(found["twice"]), str(found["deferred"]), f"{found['delay']:.1f} s", found["labels"]]


def milter_cut(bed: Bed) -> tuple[Cutter, list[Row]]:
    """One row for each state in which the milter's connection is cut."""
    sockets = bed.segmilter.queue / "segmilter"
    cutter = Cutter(sockets / "cutter.sock", sockets / "milter.sock")

    def begin(state: str):
        def cut(_bed: Bed) -> None:
            cutter.state = state
        return cut

    # From the first session on, since sessions are kept for several messages.
    return cutter, [Row(f"the milter's connection is cut at {state}", begin(state), at=0) for state in STATES]


def loaded(bed: Bed) -> Load:
    sender = bed.sender_postfix()
    sender.set(f"default_destination_concurrency_limit = {SESSIONS}")
    sender.set(f"initial_destination_concurrency = {SESSIONS}")
    return Load(bed, sender)


def main() -> int:
    checks = report.Checks()
    rows = []

    def wanted(row: Row) -> bool:
        return len(sys.argv) == 2 or any(word in row.name for word in sys.argv[2:])
    with Bed(Path(sys.argv[1]), SETTINGS, tag="open") as bed:
        load = loaded(bed)
        cutter, cuts = milter_cut(bed)
        for row in filter(wanted, [*ROWS, *cuts]):
            report.step(row.name)
            if row in cuts:
                bed.postfix.set(FILTER.format("cutter.sock"))
            before = cutter.cuts
            rows.append(judge(checks, row, load.run(row)))
            if row in cuts:
                checks.that(cutter.cuts > before, f"{row.name}: {cutter.cuts - before} times")
                cutter.state = ""
        cutter.close()
        if checks.failed:
            bed.show_logs()
    with Bed(Path(sys.argv[1]), tag="openw", way="wire") as bed:
        load = loaded(bed)
        for row in filter(wanted, WIRE_ROWS):
            report.step(row.name)
            rows.append(judge(checks, row, load.run(row)))
    report.table(["what fails", "delivered", "twice", "deferred", "longest delay", "labels"], rows)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
