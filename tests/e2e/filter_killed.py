#!/usr/bin/python3
"""kill -9 of the filter under load: every message is delivered, and the filter is started again.

    filter_killed.py PROGRAM

smtp-source sends from 20 sessions at once; the filter is killed twice meanwhile. Postfix accepts messages that the filter could not
judge (default_action=accept in the shipped main.cf). Afterwards messages are labelled again.
"""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bed import report
from bed.process import wait_until
from bed.testbed import SERVER4, Bed

MESSAGES, SESSIONS = 2000, 20


def kill_filter(bed: Bed, at: int) -> float:
    """Kills the filter once `at` messages are delivered; returns the seconds until there is a new one."""
    box = bed.postfix.mailbox("alice")
    wait_until(lambda: box.count() >= at, 60, f"{at} messages", every=0.01)
    old = bed.segmilter.child("filter")
    report.step(f"{box.count()} of {MESSAGES} delivered: kill -9 of the filter, {old}")
    os.kill(old, signal.SIGKILL)
    began = time.monotonic()
    wait_until(lambda: bed.segmilter.child("filter") not in (0, old), 15, "a new filter")
    return time.monotonic() - began


def labelled_again(bed: Bed) -> bool:
    """True if a message that is sent now gets a label other than `unobserved`."""
    box = bed.postfix.mailbox("bob")
    client = bed.smtp()
    client.envelope("a@sender.example", "bob@example.org")
    client.data(b"Subject: after\r\n\r\n" + b"some text\r\n" * 500 + b".\r\n")
    client.quit()
    messages = bed.postfix.wait_delivered("bob", box.count() + 1, 10)
    return bool(messages and any(label.pattern != "unobserved" for label in messages[-1].labels()))


def main() -> int:
    checks = report.Checks()
    with Bed(Path(sys.argv[1]), tag="fkill") as bed:
        source = subprocess.Popen(bed.link.client.command(
            "smtp-source", "-s", SESSIONS, "-m", MESSAGES, "-l", 5120, "-f", "load@sender.example",
            "-t", "alice@example.org", f"{SERVER4}:25"))
        gaps = [kill_filter(bed, MESSAGES // 6), kill_filter(bed, MESSAGES // 2)]
        checks.that(max(gaps) < 10, f"the filter came back by itself, after {gaps[0]:.2f} and {gaps[1]:.2f} s")
        checks.that(source.wait(120) == 0, "smtp-source saw no refusal")
        delivered = bed.postfix.wait_delivered("alice", MESSAGES, 120)
        checks.that(len(delivered) == MESSAGES, f"{len(delivered)} of {MESSAGES} messages delivered")
        labels = [len(message.labels()) for message in delivered]
        print(f"  {labels.count(1)} with the header, {labels.count(0)} without: accepted while there was no filter")
        checks.that(max(labels) <= 1, "no message has two headers")
        again = wait_until(lambda: labelled_again(bed), 20, "labels on new messages", every=0.5)
        checks.that(again, "new messages are labelled again")
        if checks.failed:
            bed.show_logs()
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
