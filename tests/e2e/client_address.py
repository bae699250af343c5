#!/usr/bin/python3
"""Postfix sees the client's real address and port; a configuration that would hide them is refused.

    client_address.py PROGRAM

With the deployment `listen`, PROXY protocol 2 and 1, IPv4 and IPv6. By this address Postfix decides who may relay: if every
client looked like 127.0.0.1, the server would be an open relay.
"""
import re
import subprocess
import sys
from pathlib import Path

from bed import report
from bed.link import CLIENT4, CLIENT6
from bed.process import wait_until
from bed.smtp import Client
from bed.testbed import Bed

EX_CONFIG = 78
# Settings that would make clients look local, or leave the proxy no way to name them.
REFUSED = [
    ("no announcement of the client", {"proxy": {"upstream_protocol": "none"}}),
    ("plain TCP", {"proxy": {"upstream_protocol": "tcp"}}),
    ("an announcement that does not exist", {"proxy": {"upstream_protocol": ""}}),
    ("itself as the server", {"proxy": {"upstream": "127.0.0.1:25"}}),
]


def one_message(bed: Bed, checks: report.Checks, what: str, v6: bool) -> None:
    """Sends one message and looks for its own address and port in Postfix's and our log."""
    address = CLIENT6 if v6 else CLIENT4
    connection = bed.connect(v6=v6)
    port = connection.getsockname()[1]
    client = Client(connection)
    client.expect("MAIL FROM:<a@sender.example>", 250)
    relayed, text = client.command("RCPT TO:<b@elsewhere.example>")
    checks.that(500 <= relayed < 600, f"{what}: relaying is denied ({relayed} {text.splitlines()[0]})")
    client.command("RSET")
    client.envelope("a@sender.example", "alice@example.org")
    queue_id = client.data(b"Subject: who\r\n\r\n" + b"text\r\n" * 300 + b".\r\n").rsplit(" ", 1)[1]
    client.quit()
    wait_until(lambda: f"{queue_id}: removed" in bed.postfix.log(), 10, f"delivery of {queue_id}")
    wanted = f"{queue_id}: client=unknown[{address}]:{port}"
    checks.that(wanted in bed.postfix.log(), f"{what}: Postfix logs {wanted}")
    delivered = [m for m in bed.postfix.mailbox("alice").messages() if f"id {queue_id}" in m.value("Received")]
    received = delivered[0].value("Received").replace("\n", " ") if delivered else ""
    shown = f"IPv6:{address}" if v6 else address
    checks.that(f"[{shown}]" in received, f"{what}: the Received header names [{shown}]")
    own = re.search(rf"(?m)^.*{queue_id}.*$", bed.segmilter.log())
    checks.that(own and f"{address}" in own.group(0) and str(port) in own.group(0),
                f"{what}: segmilter's log line of the message names address and port")


def check(bed: Bed) -> subprocess.CompletedProcess:
    return subprocess.run([bed.program, "check", "-c", bed.segmilter.config], capture_output=True, text=True)


def refusals(bed: Bed, checks: report.Checks) -> None:
    for what, settings in REFUSED:
        bed.segmilter.write(settings)
        done = check(bed)
        words = (done.stderr + done.stdout).strip()
        checks.that(done.returncode == EX_CONFIG and str(bed.segmilter.config) in words,
                    f"check refuses {what}: {done.returncode} {words.splitlines()[:1]}")
        started = bed.link.server.run(bed.program, "run", "-c", bed.segmilter.config, check=False,
                                      capture_output=True, text=True, timeout=120)
        checks.that(started.returncode == EX_CONFIG, f"run refuses {what}: {started.returncode}")


def main() -> int:
    checks = report.Checks()
    with Bed(Path(sys.argv[1]), tag="addr") as bed:
        checks.that(check(bed).returncode == 0, "check accepts the example")
        for word in ("proxy-v2", "proxy-v1"):
            report.step(f"listen, {word}")
            bed.segmilter.stop()
            bed.segmilter.write({"proxy": {"upstream_protocol": word}})
            bed.segmilter.start()
            for v6 in (False, True):
                one_message(bed, checks, f"{word}, {'IPv6' if v6 else 'IPv4'}", v6)
        bed.segmilter.stop()
        refusals(bed, checks)
        if checks.failed:
            bed.show_logs()
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
