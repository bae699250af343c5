#!/usr/bin/python3
"""`segmilter classify` beside a running segmilter: on the pipe of a tcpdump, and on the log while it is written.

    classify_live.py PROGRAM

A client sends EHLO and two messages and stays connected, in clear and under TLS. tcpdump writes to classify, which must print a
message's row while tcpdump still runs and the session is open: in clear when the message is answered, under TLS when the next
command comes. Then classify reads the log, in text and in JSON, with syslog's prefix and without it, and gives the traces in it
with client, EHLO name and time.
"""
import json
import select
import signal
import ssl
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from bed import report
from bed.process import end
from bed.testbed import Bed

SOON = 10  # seconds; usually it takes a fraction of one, but the machine may be busy
TEXT = b"Subject: live\r\n\r\n" + b"a line of text\r\n" * 400 + b".\r\n"


class Live:
    """tcpdump on the router, and classify at the other end of its pipe."""

    def __init__(self, bed: Bed):
        self._tcpdump = subprocess.Popen(
            bed.link.router.command("tcpdump", "-i", "server", "-U", "-n", "--immediate-mode", "-Z", "root", "-w", "-", "tcp port 25"),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._classify = subprocess.Popen([bed.program, "classify", "--format", "jsonl", "-"], stdin=self._tcpdump.stdout,
                                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._tcpdump.stdout.close()
        said = self._tcpdump.stderr.readline()
        while said and b"listening on" not in said:
            said = self._tcpdump.stderr.readline()
        if not said:
            raise RuntimeError("tcpdump does not listen")

    def row(self) -> dict | None:
        """The next row; None: none came soon, or tcpdump has ended."""
        readable, _, _ = select.select([self._classify.stdout], [], [], SOON)
        if not readable or self._tcpdump.poll() is not None:
            return None
        return json.loads(self._classify.stdout.readline())

    def finish(self) -> tuple[int, str]:
        """Ends tcpdump as by Ctrl-C. Returns classify's exit code and its remaining output."""
        end(self._tcpdump, first=signal.SIGINT)
        out, err = self._classify.communicate(timeout=60)
        return self._classify.returncode, out + err


@contextmanager
def live(bed: Bed):
    both = Live(bed)
    try:
        yield both
    finally:
        both.finish()


def watch(bed: Bed, checks: report.Checks, tls: bool) -> None:
    way = "under TLS" if tls else "in clear"
    with live(bed) as both:
        client = bed.smtp()
        name = client._socket.getsockname()
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            client.start_tls(context)
        for number in 1, 2:
            client.envelope("a@sender.example", "alice@example.org")
            client.data(TEXT)
            if tls:
                client.expect("NOOP", 250)
            row = both.row()
            if not checks.that(row is not None, f"{way}: message {number} has its row while tcpdump runs"):
                continue
            checks.that((row["message"], row["number"], row["helo"], row["client"], row["size"], row["tls"])
                        == (number, number, "client.example", f"{name[0]}:{name[1]}", len(TEXT), tls),
                        f"{way}: its numbers, EHLO name, client and size: {row['message']}, {row['number']}, {row['helo']}, "
                        f"{row['client']}, {row['size']}")
            checks.that(bool(row["time"]) and row["time"].endswith("Z"), f"{way}: its time is {row['time']}")
        client.quit()
        code, rest = both.finish()
        checks.that((code, rest) == (0, ""), f"{way}: when tcpdump ends, classify does, with exit {code}")


def logged(bed: Bed, lines: list[str]) -> list[dict]:
    done = subprocess.run([bed.program, "classify", "--format", "jsonl", "-"], input="\n".join(lines) + "\n",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"segmilter classify of the log: exit {done.returncode}, {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def read_log(bed: Bed, checks: report.Checks, form: str, messages: int) -> None:
    lines = bed.segmilter.log().splitlines()
    prefix = "Nov 27 07:00:00 mx1 segmilter[1]: "
    stranger = "Nov 27 07:00:00 mx1 postfix/smtpd[2]: 4A: trace trace=\"segmilter/1 seg=9n\""
    rows = logged(bed, lines)
    checks.that(len(rows) == messages, f"{form}: {len(rows)} of {messages} messages from {len(lines)} lines of the log")
    checks.that(all(row["trace"] in "\n".join(lines) and row["helo"] == "client.example" and row["client"] and row["time"]
                    for row in rows), f"{form}: each with its trace, EHLO name, client and time")
    behind = logged(bed, [stranger] + [prefix + line for line in lines])
    checks.that(behind == rows, f"{form}: the same behind the journal's prefix, among a stranger's lines")


def main() -> int:
    checks = report.Checks()
    for form in "text", "json":
        settings = {"log": {"level": "debug", "format": form}}
        with Bed(Path(sys.argv[1]), settings, tag="live", tls=True) as bed:
            watch(bed, checks, tls=False)
            watch(bed, checks, tls=True)
            bed.postfix.wait_delivered("alice", 4, 20)
            read_log(bed, checks, form, 4)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
