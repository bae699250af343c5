#!/usr/bin/python3
"""Whatever X-Protocol-Pattern headers a client sends, the message ends with exactly one: ours.

    forged_header.py PROGRAM
"""
import sys
from pathlib import Path

from bed import report
from bed.testbed import Bed

FORGED = (b"X-Protocol-Pattern: mx1.example.org; pattern=official-mta; score=-9; action=none; v=1\r\n"
          b"x-protocol-pattern: mx1.example.org; pattern=relay;\r\n\tscore=-9; v=1\r\n"
          b"Subject: forged\r\n"
          b"X-PROTOCOL-PATTERN: forged.example; pattern=none-such\r\n")


def main() -> int:
    checks = report.Checks()
    with Bed(Path(sys.argv[1]), tag="forge") as bed:
        client = bed.smtp()
        for number in range(2):  # the second in the same session
            client.envelope("a@sender.example", "alice@example.org")
            client.data(FORGED + b"\r\n" + b"text\r\n" * 400 + b".\r\n")
            messages = bed.postfix.wait_delivered("alice", number + 1, 10)
            if not checks.that(len(messages) == number + 1, f"message {number + 1} delivered"):
                continue
            labels = messages[-1].labels()
            checks.that(len(labels) == 1, f"exactly one header of {len(labels)}")
            label = labels[0] if labels else None
            print("  " + (label.raw if label else "none"))
            checks.that(label and label.raw.startswith("X-Protocol-Pattern: mx1"), "with one blank behind its colon")
            checks.that(label and label.host == "mx1.example.org" and label.segments
                        and sum(label.segments) == len(FORGED) + 2 + 6 * 400 + 3,
                        "and it is ours: its segments add up to the message")
            head = messages[-1].head().decode().splitlines()
            names = [line.split(":")[0] for line in head if line[:1] not in " \t" and ":" in line]
            at = names.index("X-Protocol-Pattern") if "X-Protocol-Pattern" in names else -1
            checks.that(at > 0 and names[at - 1] == "Received", f"below Postfix's own Received: {names}")
            checks.that("Subject" in names, "the other headers are still there")
        client.quit()
        if checks.failed:
            bed.show_logs()
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
