#!/usr/bin/python3
"""Sends the talk's behaviours and patterns over a real link, and prints what `segmilter classify` draws of each.

    behaviours.py PROGRAM [--check]

Started by `run`, which installs and builds first. The network and the Postfix that takes the mail are those of the end-to-end tests
(tests/e2e/bed); tcpdump on the router captures. --check compares the drawings with those in README.md beside this file.
"""
import argparse
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests/e2e"))
from bed import report  # noqa: E402
from bed.link import ROUTER4, Condition  # noqa: E402
from bed.testbed import SERVER4, Bed, Missing, run_as  # noqa: E402

TO = "alice@example.org"
CLEAN = Condition()
SMALL = Condition(mss=920, timestamps=False)  # timestamps would take 12 of the 920 bytes
MOVING = Condition(timestamps=False)


@dataclass(frozen=True)
class Case:
    title: str
    role: str                     # of sender.py, or of the quickstart's talk_sender.py
    condition: Condition = CLEAN
    loss: bool = False


CASES = [Case("Behaviour 1: one write of 5120 bytes", "one-write"),
         Case("Behaviour 2: two writes of 5120 bytes", "two-writes"),
         Case("Behaviour 3: two writes of 5120 bytes, 100 ms apart", "two-writes-apart"),
         Case("SMTP relay server: the first field alone, then the rest", "relay"),
         Case("Spam bot #1: the header, the body, the end of data", "bot1"),
         Case("Spam bot #2: a template, with the value of Subject in a write of its own", "bot2"),
         Case("2048 fan club: a buffer of 2048 bytes", "blocks2048"),
         Case("Garage SMTP server: behaviour 1 over a link with an MSS of 920", "one-write", SMALL),
         Case("Mobile: four writes, and the MTU of the path falls from 1440 to 576 after the first", "many-writes", MOVING),
         Case("Pitfall: behaviour 1, and the network loses the second segment", "one-write", loss=True)]


def send(bed: Bed, role: str) -> None:
    if role == "many-writes":
        send_on_moving_path(bed)
        return
    own = role in ("one-write", "two-writes", "two-writes-apart")
    script = HERE / "sender.py" if own else HERE.parent / "quickstart/talk_sender.py"
    done = bed.link.client.run("/usr/bin/python3", script, role, SERVER4, TO, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{script.name} {role}: {done.stdout.strip()}")


def send_on_moving_path(bed: Bed) -> None:
    """Four writes. Behind the first one the MTU of the client's route falls."""
    def path(*mtu: str) -> None:
        bed.link.client.ip("route", "replace", "default", "via", ROUTER4, *mtu)
    path("mtu", "1440")
    sender = subprocess.Popen(bed.link.client.command("/usr/bin/python3", HERE / "sender.py", "many-writes", SERVER4, TO),
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for mtu in ("1440", "576", "576", "576"):
        if sender.stdout.readline().strip() != "ready":
            break
        time.sleep(0.3)  # what was written before has arrived
        path("mtu", mtu)
        sender.stdin.write("\n")
        sender.stdin.flush()
    answer, _ = sender.communicate(timeout=60)
    path()
    if sender.returncode:
        raise RuntimeError(f"sender.py many-writes: {answer.strip()}")


def lose_a_segment(bed: Bed) -> None:
    """The router drops the second segment of the next message. Packets with commands are shorter than 120 bytes."""
    bed.link.router.run("nft", "add", "rule", "inet", "bed", "forward", "iifname", "client", "tcp", "dport", "25", "meta", "length", ">",
                        "120", "numgen", "inc", "mod", "100000", "==", "1", "drop")


def drawing(program: Path, bed: Bed, case: Case) -> str:
    """The title, the pattern, and the three lines that `segmilter classify` prints below a message."""
    bed.link.set(case.condition)
    if case.loss:
        lose_a_segment(bed)
    with bed.capture("behaviour") as finish:
        send(bed, case.role)
        finish()
        done = subprocess.run([program, "classify", bed.root / "behaviour.pcap"], capture_output=True, text=True, check=True)
        pause = longest_pause(program, bed.root / "behaviour.pcap")
    if case.role == "two-writes-apart" and not 90 <= pause < 1000:
        raise RuntimeError(f"{case.title}: the longest pause in the trace is {pause} ms")
    rows = re.findall(r"(?m)^ +1  (\S+) .*\n((?:       \S.*\n)+)", done.stdout)
    if len(rows) != 1:
        raise RuntimeError(f"{case.title}: not one message in the capture: {done.stdout}{done.stderr}")
    pattern, lines = rows[0]
    return "\n".join([f"{case.title}: {pattern}", *(line.strip() for line in lines.splitlines())])


def longest_pause(program: Path, capture: Path) -> int:
    """Milliseconds between two segments of the message, as the trace has it."""
    done = subprocess.run([program, "classify", "--format", "jsonl", capture], capture_output=True, text=True, check=True)
    return max(int(gap) for gap in re.findall(r"@(\d+)", done.stdout) + ["0"]) // 1000


def indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def check(drawings: list[str]) -> int:
    text = (HERE / "README.md").read_text()
    absent = [one for one in drawings if f"\n{indented(one)}\n" not in text]
    for one in absent:
        print(report.bad("README.md does not have this drawing:"), one, sep="\n")
    blocks = len(re.findall(r"(?m)^    \S.*: [a-z-]+\n    [-|]", text))
    if blocks != len(drawings):
        print(report.bad(f"README.md has {blocks} drawings instead of {len(drawings)}"))
    same = not absent and blocks == len(drawings)
    print(report.good("README.md has these drawings") if same else "")
    return 0 if same else 1


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("program", type=Path)
    options.add_argument("--check", action="store_true")
    chosen = options.parse_args()
    if not chosen.program.exists():
        raise Missing(f"{chosen.program} is not there: run examples/tcp-behaviours/run without --no-build")
    drawings = []
    with Bed(None, tag="behave") as bed:
        for case in CASES:
            drawings.append(drawing(chosen.program, bed, case))
            print(indented(drawings[-1]), flush=True)
    return check(drawings) if chosen.check else 0


if __name__ == "__main__":
    run_as("tcp-behaviours", main)
