#!/usr/bin/python3
"""kill -9 of the proxy under load: it is started again, and no message is lost.

    proxy_killed.py PROGRAM

A real Postfix in the client's namespace sends and, as SMTP requires, tries again what was not answered. If a message's final dot had
reached the server when its connection was cut, the message is sent a second time: SMTP's retry permits such duplicates (RFC 5321,
4.5.4.1 and RFC 1047). The test counts and prints them.
"""
import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from bed import report
from bed.process import wait_until
from bed.smtp import Client, stuffed
from bed.testbed import Bed

MESSAGES = 600
BODY = b"A line of a message that must not be lost.\r\n" * 400


def inject(bed: Bed) -> None:
    """Hands all messages to the sending Postfix on its loopback port."""
    connection = bed.link.client.socket(socket.AF_INET)
    connection.connect(("127.0.0.1", 2525))
    client = Client(connection)
    for number in range(MESSAGES):
        client.envelope("load@sender.example", "alice@example.org")
        client.data(stuffed(f"X-Test-Id: p{number}\r\nSubject: load\r\n\r\n".encode() + BODY))
    client.quit()


def kill_proxy(bed: Bed, at: int) -> tuple[float, float]:
    """Kills the proxy once `at` messages are delivered; seconds until there is a new process, and
    until a client that connects right away is greeted."""
    box = bed.postfix.mailbox("alice")
    wait_until(lambda: box.count() >= at, 60, f"{at} messages", every=0.005)
    old = bed.segmilter.child("proxy")
    report.step(f"{box.count()} of {MESSAGES} delivered: kill -9 of the proxy, {old}")
    began = time.monotonic()
    os.kill(old, signal.SIGKILL)
    waiting = bed.smtp()  # if the connection is refused or closed, an exception fails the test
    greeted = time.monotonic() - began
    waiting.quit()
    wait_until(lambda: bed.segmilter.child("proxy") not in (0, old), 15, "a new proxy")
    return time.monotonic() - began, greeted


def main() -> int:
    checks = report.Checks()
    with Bed(Path(sys.argv[1]), tag="pkill") as bed:
        sender = bed.sender_postfix()
        injecting = threading.Thread(target=inject, args=(bed,), daemon=True)
        injecting.start()
        for at in (MESSAGES // 6, MESSAGES // 2):
            back, greeted = kill_proxy(bed, at)
            checks.that(back < 10, f"the proxy came back by itself within {back:.2f} s; a client that connected"
                                   f" right after the kill was greeted after {greeted:.2f} s")
        injecting.join(60)
        sender.flush()
        wait_until(lambda: not sender.queued(), 120, "the sending Postfix to get rid of its mail", every=0.3)
        wait_until(lambda: not bed.postfix.queued(), 60, "delivery", every=0.3)
        seen = Counter(message.value("X-Test-Id") for message in bed.postfix.mailbox("alice").messages())
        lost = [number for number in range(MESSAGES) if not seen[f"p{number}"]]
        twice = [tag for tag, count in seen.items() if count > 1]
        broken = sender.log().count("lost connection") + sender.log().count("conversation with")
        checks.that(not lost, f"no message is lost ({MESSAGES - len(lost)} of {MESSAGES} delivered)")
        checks.that(len(twice) <= broken, f"{len(twice)} delivered twice; {broken} deliveries were cut, each of "
                                          "which may be a duplicate by SMTP's retry")
        print(f"  seen: {'duplicates ' + ', '.join(twice) if twice else 'no duplicate at all'}")
        if checks.failed:
            bed.show_logs()
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
