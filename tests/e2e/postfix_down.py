#!/usr/bin/python3
"""Postfix is stopped: a client of the proxy gets the reply 421 4.3.2, never a 5xx, and afterwards mail flows again.

    postfix_down.py PROGRAM
"""
import sys
import time
from pathlib import Path

from bed import report
from bed.testbed import Bed


def first_line(bed: Bed) -> str:
    connection = bed.connect()
    try:
        return connection.recv(500).decode().strip()
    finally:
        connection.close()


def main() -> int:
    checks = report.Checks()
    with Bed(Path(sys.argv[1]), tag="down") as bed:
        greeting = first_line(bed)
        checks.that(greeting.startswith("220"), f"Postfix runs: {greeting}")
        bed.postfix.stop()
        began = time.monotonic()
        words = first_line(bed)
        checks.that(words.startswith("421 4.3.2"), f"Postfix is stopped: {words}")
        checks.that(time.monotonic() - began < 15, f"said after {time.monotonic() - began:.2f} s")
        bed.postfix.log_file.unlink()
        bed.postfix.start()
        client = bed.smtp()
        client.envelope("a@sender.example", "alice@example.org")
        client.data(b"Subject: again\r\n\r\ntext\r\n.\r\n")
        client.quit()
        messages = bed.postfix.wait_delivered("alice", 1, 10)
        checks.that(len(messages) == 1 and len(messages[0].labels()) == 1, "Postfix is back: delivered and labelled")
        if checks.failed:
            bed.show_logs()
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
