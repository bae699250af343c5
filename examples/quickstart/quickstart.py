#!/usr/bin/python3
"""The quickstart itself: real programs send over real links, and a table shows what came out.

    quickstart.py PROGRAM [--keep]

Started by `run`, which installs and builds first. The network, Postfix and segmilter are those of the
end-to-end tests (tests/e2e/bed); the senders are below, one function each.
"""
import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests/e2e"))
from bed import report  # noqa: E402
from bed.link import Condition, RouteFlip  # noqa: E402
from bed.testbed import SERVER4, Bed, Missing, run_as  # noqa: E402

TO, FROM = "alice@example.org", "sender@sender.example"
SMTPLIB = """
import smtplib, sys
session = smtplib.SMTP(sys.argv[1], 25, local_hostname="client.example", timeout=300)
session.sendmail(sys.argv[2], [sys.argv[3]], open(sys.argv[4], "rb").read())
session.quit()
"""

CLEAN = Condition()
OFFLOADS = Condition(sender_offload=True, router_offload=True, receiver_offload=True)
# MSS 920 leaves 920 bytes of payload only without timestamps, which take 12.
GARAGE = Condition(mss=920, timestamps=False)
MOBILE = Condition(rate="1mbit", timestamps=False)


class Senders:
    """The programs; each method sends one message that carries the test id `tag`."""

    def __init__(self, bed: Bed):
        self.bed = bed
        self.relay = bed.sender_postfix()

    def _file(self, tag: str, size: int) -> Path:
        """A message with CRLF line ends in a file."""
        head = (f"From: Sender <{FROM}>\r\nTo: Alice <{TO}>\r\nSubject: quickstart {tag}\r\n"
                f"Date: Mon, 23 Nov 2026 12:00:00 +0000\r\nMessage-ID: <{tag}@sender.example>\r\n"
                f"X-Test-Id: {tag}\r\n\r\n")
        lines = (f"{number:6d} It is not what you say, it is the way that you say it.\r\n"
                 for number in range(size // 64 + 1))
        path = self.bed.root / f"{tag}.eml"
        path.write_bytes((head + "".join(lines))[:size].encode() + b"\r\n")
        return path

    def _run(self, *argv, stdin: Path | None = None) -> None:
        with open(stdin or "/dev/null", "rb") as source:
            done = self.bed.link.client.run(*argv, stdin=source, stdout=subprocess.PIPE, text=True,
                                            stderr=subprocess.STDOUT, check=False, timeout=300)
        if done.returncode:
            raise RuntimeError(f"{argv[0]} failed: {done.stdout.strip()[-400:]}")

    def postfix(self, tag: str) -> None:
        """Postfix's own smtp client relays what it was given on loopback."""
        self._run("/usr/bin/python3", "-c", SMTPLIB.replace(", 25,", ", 2525,"), "127.0.0.1", FROM, TO,
                  self._file(tag, 40_000))

    def swaks(self, tag: str) -> None:
        self._run("swaks", "--server", SERVER4, "--helo", "client.example", "--from", FROM, "--to", TO,
                  "--data", f"@{self._file(tag, 20_000)}")

    def curl(self, tag: str) -> None:
        self._run("curl", "-sS", "--url", f"smtp://{SERVER4}/client.example", "--mail-from", FROM,
                  "--mail-rcpt", TO, "--upload-file", self._file(tag, 30_000))

    def msmtp(self, tag: str) -> None:
        self._run("msmtp", f"--host={SERVER4}", "--port=25", f"--from={FROM}", "--domain=client.example",
                  "--tls=off", "--auth=off", "--file=/dev/null", TO, stdin=self._file(tag, 18_000))

    def smtplib(self, tag: str, size: int = 30_000) -> None:
        self._run("/usr/bin/python3", "-c", SMTPLIB, SERVER4, FROM, TO, self._file(tag, size))

    def talk(self, role: str, tag: str) -> None:
        self._run("/usr/bin/python3", HERE / "talk_sender.py", role, SERVER4, TO, tag)

    def garage(self, tag: str) -> None:
        self.smtplib(tag, 30_000)

    def mobile(self, tag: str) -> None:
        with RouteFlip(self.bed.link, 576, 1440, 0.08):
            self.smtplib(tag, 100_000)


@dataclass(frozen=True)
class Case:
    sender: str          # as the table says it
    expected: str        # the pattern
    tag: str
    send: object         # called with the tag


def ordinary(senders: Senders, suffix: str) -> list[Case]:
    """The senders that make their pattern on an ordinary link."""
    talk = [("bot #1 (played)", "bot-headers-apart", "bot1"), ("bot #2 (played)", "bot-template", "bot2"),
            ("relay (played)", "relay", "relay"), ("2048 blocks (played)", "kilobyte-blocks", "blocks2048")]
    cases = [Case("Postfix smtp", "official-mta", "postfix", senders.postfix),
             Case("swaks", "kilobyte-blocks", "swaks", senders.swaks),
             Case("curl", "official-mta", "curl", senders.curl),
             Case("msmtp", "line-writer", "msmtp", senders.msmtp),
             Case("Python smtplib", "official-mta", "smtplib", senders.smtplib)]
    cases += [Case(name, pattern, role, lambda tag, role=role: senders.talk(role, tag))
              for name, pattern, role in talk]
    return [Case(case.sender, case.expected, case.tag + suffix, case.send) for case in cases]


class Quickstart:
    def __init__(self, bed: Bed):
        self.bed, self.box = bed, bed.postfix.mailbox("alice")
        self.wrong: list[str] = []

    def messages(self) -> dict:
        return {message.value("X-Test-Id"): message for message in self.box.messages()}

    def send(self, cases: list[Case]) -> None:
        before = self.box.count()
        for case in cases:
            report.step(f"{case.sender} sends")
            case.send(case.tag)
        self.bed.postfix.wait_delivered("alice", before + len(cases), 60)

    def show(self, title: str, cases: list[Case]) -> None:
        """The table of one link, then the headers as delivered."""
        delivered, rows, headers = self.messages(), [], []
        for case in cases:
            message = delivered.get(case.tag)
            labels = message.labels() if message else []
            if len(labels) != 1:
                self.wrong.append(f"{case.sender}: {len(labels)} headers" if message
                                  else f"{case.sender}: not delivered")
                rows.append([case.sender, case.expected, "-", report.bad(self.wrong[-1]), "-", "-"])
                continue
            label = labels[0]
            right = label.pattern == case.expected
            if not right:
                self.wrong.append(f"{case.sender} ({title}): {label.pattern}, expected {case.expected}")
            rows.append([case.sender, case.expected, shorten(label.fields.get("segments", "-")),
                         label.pattern if right else f"{label.pattern} (!)",
                         label.fields.get("confidence", "-"), label.fields.get("action", "-")])
            headers.append(label.raw)
        print(f"\n{title}\n")
        report.table(["sender", "expected", "segments", "pattern", "confidence", "action"], rows)
        print("\nthe headers as delivered:\n")
        print("\n".join(headers), "\n", flush=True)

    def reject(self, senders: Senders) -> None:
        """Turns on enforcement in the running program and shows a message refused."""
        settings = {"policy": {"mode": "enforce", "tempfail": "off", "quarantine": "off", "reject": 4.0},
                    "weights": {"bot-template": 8.0}}
        self.bed.segmilter.write(settings)
        report.step("the configuration now rejects; `kill -HUP` the supervisor; bot #2 sends again")
        self.bed.segmilter.reload()
        time.sleep(1)
        done = self.bed.link.client.run("/usr/bin/python3", HERE / "talk_sender.py", "bot2", SERVER4, TO,
                                        "rejected", stdout=subprocess.PIPE, text=True, check=False)
        print("\na rejected message: the configuration that does it\n")
        print(indented(self.bed.segmilter.config.read_text()))
        print("Postfix's answer to the client after the final dot:\n")
        print(indented(done.stdout.strip() or "(none)"), "\n")
        if not done.stdout.startswith("550"):
            self.wrong.append(f"bot #2 was to be rejected: {done.stdout.strip()!r}")
        self.bed.segmilter.write()
        self.bed.segmilter.reload()


def indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def shorten(text: str, width: int = 38) -> str:
    return text if len(text) <= width else text[:width - 1] + "…"


def keep(bed: Bed) -> None:
    """Waits until Ctrl-C (or TERM) with everything running."""
    inside = " ".join(bed.link.client.command())
    print(f"""It is left running. From another terminal, as root:

  send       {inside} swaks --server {SERVER4} --to {TO}
             {inside} {HERE / 'talk_sender.py'} bot2 {SERVER4} {TO}
  read       grep -h -A3 X-Protocol-Pattern {bed.postfix.mailbox('alice').path}/new/*
  logs       {bed.segmilter.log_file}  {bed.postfix.log_file}
  configure  edit {bed.segmilter.config}, then: kill -HUP {bed.segmilter.process.pid}
  stop       Ctrl-C here, or: kill {os.getpid()}
""", flush=True)
    while True:
        signal.pause()


def run(bed: Bed, stay: bool) -> int:
    senders, show = Senders(bed), Quickstart(bed)
    for suffix, condition, title in (
            ("", CLEAN, "Link 1: Ethernet, MTU 1500, offloads off (segments travel as they are)"),
            ("-offload", OFFLOADS, "Link 2: the same with offloads on (the kernel joins segments)")):
        report.step(title)
        bed.link.set(condition)
        cases = ordinary(senders, suffix)
        show.send(cases)
        show.show(title, cases)
    special = [(GARAGE, Case("smtplib, MSS 920", "garage-server", "garage", senders.garage)),
               (MOBILE, Case("smtplib, MTU 576/1440", "mobile", "mobile", senders.mobile))]
    for condition, case in special:
        bed.link.set(condition)
        show.send([case])
    bed.link.set(CLEAN)
    show.show("Links 3 and 4: MSS clamped to 920; path MTU changing while the message is sent",
              [case for _, case in special])
    show.reject(senders)
    if show.wrong:
        print(report.bad("not as expected:"), *show.wrong, sep="\n  ")
        bed.show_logs()
    else:
        print(report.good("every expected pattern came out"))
    if stay:
        keep(bed)
    return 1 if show.wrong else 0


def say_without_kernel_filter(bed: Bed) -> None:
    """The program goes on without its kernel filter; the patterns then rest on reads."""
    for line in bed.segmilter.log().splitlines():
        if "no kernel filter" in line:
            print(report.bad("This kernel or container does not let the socket filter be loaded:"), line,
                  "Segments are inferred from reads instead: expect some patterns to be missed.", sep="\n  ")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("program", type=Path)
    options.add_argument("--keep", action="store_true")
    chosen = options.parse_args()
    if not shutil.which(str(chosen.program)):
        raise Missing(f"{chosen.program} is not there: run examples/quickstart/run without --no-build")
    report.step("three namespaces, a private Postfix, segmilter in front of it")
    with Bed(chosen.program, tag="quick") as bed:
        say_without_kernel_filter(bed)
        return run(bed, chosen.keep)


if __name__ == "__main__":
    run_as("quickstart", main)
