#!/usr/bin/python3
"""The wire observer, with only Postfix on its port: it is killed while mail comes in, and the mail must not be affected.

    wire.py PROGRAM

agree.py shows that its labels are the same as the proxy's.
"""
import os
import signal
import sys
import threading
import time
from pathlib import Path

from bed import report
from bed.process import wait_until
from bed.smtp import stuffed
from bed.testbed import Bed
from under_tls import FROM, TO, message


def observer_killed(checks: report.Checks, program: Path) -> None:
    """kill -9 in the middle of sessions: all mail is delivered, and messages that begin afterwards are labelled."""
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
        time.sleep(0.5)  # the observer has read the beginning of the sessions
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
    observer_killed(checks, program)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
