#!/usr/bin/python3
"""The header's mss is the payload of a full segment of the client, and is known before a full segment has come.

    path_mss.py PROGRAM

Sends one small message over each link, so that the value can only come from the handshake. With and without timestamps (12 bytes of
each segment), IPv4 and IPv6, and with an MSS that a router has lowered.
"""
import sys
from pathlib import Path

from bed import report
from bed.link import Condition
from bed.testbed import Bed

# MSS clamp, timestamps, IPv6: bytes of payload in a full segment.
EXPECTED = {
    (0, True, False): 1448, (0, True, True): 1428,
    (0, False, False): 1460, (0, False, True): 1440,
    (920, False, False): 920, (920, False, True): 920,
    (920, True, False): 908, (920, True, True): 908,
}


def shown_mss(bed: Bed, v6: bool) -> str:
    box = bed.postfix.mailbox("alice")
    box.clear()
    client = bed.smtp(v6=v6)
    client.envelope("a@sender.example", "alice@example.org")
    client.data(b"Subject: small\r\n\r\nsmall\r\n.\r\n")
    client.quit()
    messages = bed.postfix.wait_delivered("alice", 1, 10)
    labels = messages[0].labels() if messages else []
    return labels[0].fields.get("mss", "none") if labels else "no header"


def main() -> int:
    checks = report.Checks()
    for method in ("kernel", "read"):
        with Bed(Path(sys.argv[1]), {"capture": {"method": method}}, tag="mss") as bed:
            for (clamp, timestamps, v6), expected in EXPECTED.items():
                bed.link.set(Condition(mss=clamp, timestamps=timestamps))
                shown = shown_mss(bed, v6)
                checks.that(shown == str(expected),
                            f"{method}, clamp {clamp or 'none'}, timestamps {'on' if timestamps else 'off'}, "
                            f"IPv{6 if v6 else 4}: mss={shown}, expected {expected}")
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
