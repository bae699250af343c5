#!/usr/bin/python3
"""The wire observer: a Postfix with nothing in front of it, and the labels that the proxy would have given.

    wire.py PROGRAM

First both watch the same packets: the proxy in the path and, beside it, a second segmilter that only watches. Postfix
asks one filter, a tee asks the other's as well, and whatever their two logs say of it is compared, in clear and under TLS,
over links with super-packets, loss and small segments. Then Postfix has its port to itself: the wire observer alone
labels, and is killed while mail comes in, of which the mail is to notice nothing.
"""
import os
import re
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from bed import report
from bed.link import Condition
from bed.process import wait_until
from bed.segmilter import Segmilter
from bed.smtp import stuffed
from bed.tee import Tee
from bed.testbed import Bed
from under_tls import FROM, SIZES, TO, Senders, context, message, send_all

COMPARED = ("pattern", "writer", "path", "score", "gait", "block", "mss", "tls", "message", "size", "segments", "reason")
LEAST_SAME = 0.99
MILTER = "smtpd_milters = { unix:segmilter/tee.sock, default_action=accept, connect_timeout=2s, command_timeout=15s }"


def send_over_links(senders: Senders) -> None:
    """What a clean link does not show: super-packets, loss, a small MSS, IPv6, whole messages pipelined."""
    link = senders.bed.link
    played = ("whole", "headers apart", "template", "blocks of 2048", "lines")
    links = {"offloads": Condition(sender_offload=True, router_offload=True, receiver_offload=True),
             "offloads on the server": Condition(receiver_offload=True),
             "MSS 536": Condition(mss=536), "no timestamps": Condition(timestamps=False)}
    for name, condition in links.items():
        report.step(f"over a link with {name}")
        link.set(condition)
        for writer in played:
            senders.played(writer, SIZES, f"clear, {name}")
            senders.played(writer, SIZES, f"TLS, {name}", context())
        senders.played("whole", SIZES, f"clear, BDAT, {name}", chunk=3_000)
        for size in SIZES:
            senders.curl(size, "clear")
    link.set(Condition())


def send_through_loss(senders: Senders) -> None:
    senders.bed.link.set(Condition(loss_permille=20))
    for _ in range(2):
        for writer in ("whole", "headers apart", "blocks of 2048", "lines"):
            senders.played(writer, SIZES, "clear, loss")
            senders.played(writer, SIZES, "TLS, loss", context())
    senders.bed.link.set(Condition())


def judgements(segmilter: Segmilter) -> dict[str, dict[str, str]]:
    """What its log says of each message, by Postfix's queue id."""
    found = {}
    for line in segmilter.log().splitlines():
        if match := re.search(r" info: (\w+): message (.*)$", line):
            found[match[1]] = dict(re.findall(r'(\w+)=("[^"]*"|\S+)', match[2]))
    return found


def compare(checks: report.Checks, bed: Bed, witness: Segmilter, name: str, senders: Senders, send, least: float) -> None:
    """Messages sent by `send`, as the proxy saw them and as the witness did."""
    before = len(senders.sent)
    send(senders)
    bed.postfix.wait_delivered("alice", len(senders.sent), 120)
    sent = {one.tag: one for one in senders.sent[before:]}
    proxy, wire = judgements(bed.segmilter), judgements(witness)
    rows, same, windows, labelled_once = [], 0, Counter(), 0
    for delivered in bed.postfix.mailbox("alice").messages():
        one = sent.get(delivered.value("X-Test-Id"))
        queue = re.search(r"with (?:E|UTF8)?SMTPS? id (\w+)", delivered.head().decode("utf-8", "replace"))
        if not one or not queue:
            continue
        left, right = proxy.get(queue[1], {}), wire.get(queue[1], {})
        labelled_once += bool(left and right and right.get("via", "wire") == "wire")
        windows[right.get("window", right.get("reason", "?"))] += 1
        keys = [key for key in COMPARED if left.get(key) != right.get(key)]
        same += not keys
        rows += [[one.program, str(one.size), one.way, key, left.get(key, "-")[:60], right.get(key, "-")[:60],
                  right.get("window", "-")] for key in keys]
    checks.that(labelled_once == len(sent), f"{name}: {labelled_once} of {len(sent)} messages delivered and judged by both")
    if rows:
        report.table(["program", "bytes", "way", "key", "proxy", "wire", "window"], rows[:40])
    checks.that(same >= least * len(sent), f"{name}: {same} of {len(sent)} judged alike in everything ({same / len(sent):.4f}); "
                f"windows: {', '.join(f'{count} {kind}' for kind, count in windows.most_common())}")


def both_watch(checks: report.Checks, program: Path) -> None:
    with Bed(program, tag="wboth", tls=True) as bed:
        queue = bed.root / "server/queue"
        witness = Segmilter(bed.link.server, program, bed.root / "witness", queue, way="wire",
                            settings={"filter": {"socket": f"unix:{queue}/segmilter/witness.sock"}})
        witness.start()
        try:
            sockets = queue / "segmilter"
            wait_until((sockets / "witness.sock").exists, 10, "the witness")
            tee = Tee(sockets / "tee.sock", sockets / "milter.sock", sockets / "witness.sock")
            bed.postfix.set(MILTER)
            senders = Senders(bed)
            for name, send, least in (("clean link", send_all, LEAST_SAME), ("other links", send_over_links, LEAST_SAME),
                                      ("loss", send_through_loss, LEAST_SAME)):
                compare(checks, bed, witness, name, senders, send, least)
        finally:
            tee.close()
            witness.stop()


def observer_killed(checks: report.Checks, program: Path) -> None:
    """kill -9 in the middle of sessions: all are delivered, and what begins afterwards is labelled."""
    report.step("the observer is killed while mail comes in")
    with Bed(program, tag="wkill", way="wire") as bed:
        first = bed.smtp()
        early = threading.Event()

        def slow(tag: str) -> None:
            client = bed.smtp()
            client.envelope(FROM, TO)
            client.expect("DATA", 354)
            wire = stuffed(message(tag, 20_000))
            client.send(wire[:9_000])
            early.wait(30)
            client.send(wire[9_000:])
            client.reply()
            client.quit()
        threads = [threading.Thread(target=slow, args=(f"k{number}",), daemon=True) for number in range(10)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)  # the observer has read of them
        pid = bed.segmilter.child("wire")
        os.kill(pid, signal.SIGKILL)
        early.set()
        for thread in threads:
            thread.join(60)
        wait_until(lambda: bed.segmilter.child("wire") not in (0, pid), 20, "the observer to be back")
        wait_until(lambda: labelled(bed, "new"), 30, "a message to be labelled again")
        first.envelope(FROM, TO)
        first.data(stuffed(message("old", 9_000)))
        first.quit()
        wait_until(lambda: "old" in [one.value("X-Test-Id") for one in bed.postfix.mailbox("alice").messages()], 30,
                   "the old session's message")
        found = {one.value("X-Test-Id"): one.labels() for one in bed.postfix.mailbox("alice").messages()}
        checks.that(all(f"k{number}" in found for number in range(10)), "10 of 10 messages that were on their way are delivered")
        checks.that(found["old"][0].fields.get("reason") == "no-session", "a session that began before is unobserved, no-session")


def labelled(bed: Bed, tag: str) -> bool:
    client = bed.smtp()
    client.envelope(FROM, TO)
    client.data(stuffed(message(tag, 9_000)))
    client.quit()
    bed.postfix.wait_delivered("alice", 1, 30)
    return any(one.value("X-Test-Id") == tag and one.labels() and one.labels()[0].fields.get("via") == "wire"
               for one in bed.postfix.mailbox("alice").messages())


def main() -> int:
    checks, program = report.Checks(), Path(sys.argv[1])
    both_watch(checks, program)
    observer_killed(checks, program)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
