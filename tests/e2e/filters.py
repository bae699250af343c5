#!/usr/bin/python3
"""The files of examples/filters that need no further package: Postfix's milter_header_checks and header_checks, and the set of
nftables that is fed from the log. The others have tests/filters/run.

    filters.py PROGRAM

A template bot, a client that writes at once, and clients with forged fields send to a real Postfix with these files.
"""
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from bed import report
from bed.link import CLIENT4, CLIENT6, SERVER4
from bed.netns import Namespace
from bed.postfix import EXAMPLES
from bed.process import end_pids, wait_until
from bed.testbed import DIRECT_PORT, Bed

FILES = EXAMPLES.parent / "filters"
BODY = b"It is not what you say, it is the way that you say it.\r\n" * 120
FIELD = (b"X-Protocol-Pattern: mx1.example.org; pattern=bot-template; score=3.9;\r\n\tconfidence=0.98; action=none; writer=template;"
         b"\r\n\tpath=full; gait=unknown; why=none; v=1\r\n")
HEAD = b"From: a@sender.example\r\nSubject: "
CUTS = (60, 23)  # both in the value of Subject
TABLE = "inet segmilter_bots"


def bot(bed: Bed, v6: bool = False, name: str = "talk.example") -> str:
    """Sends as a template bot does; returns the queue id."""
    client = bed.smtp(v6=v6, name=name)
    client.envelope("a@sender.example", "alice@example.org")
    answer = client.data(HEAD + b"s" * 60 + b"\r\n\r\n" + BODY + b".\r\n", CUTS, 0.05)
    client.quit()
    return answer.split()[-1]


def whole(bed: Bed, head: bytes = b"", port: int = 25) -> str:
    """Sends as a mail server does, at once."""
    client = bed.smtp(port)
    client.envelope("a@sender.example", "alice@example.org")
    answer = client.data(head + HEAD + b"whole\r\n\r\n" + BODY + b".\r\n")
    client.quit()
    return answer.split()[-1]


def held(bed: Bed, queue: str) -> bool:
    """Whether the message is in the hold queue; waits until it is there or delivered."""
    folder = bed.postfix.root / "queue/hold"
    wait_until(lambda: list(folder.rglob(queue)) or f"{queue}: removed" in bed.postfix.log(), 15, f"{queue} to be held or delivered")
    return bool(list(folder.rglob(queue)))


def header_checks(checks: report.Checks, bed: Bed) -> None:
    report.step("milter_header_checks")
    bed.postfix.set(f"milter_header_checks = regexp:{FILES / 'postfix/milter_header_checks'}")
    queue = bot(bed)
    checks.that(held(bed, queue), "a template bot is held")
    checks.that(re.search(rf"{queue}: milter-header-hold: .*written as template bots write", bed.postfix.log()), "the log says why")
    bed.link.server.run("postsuper", "-c", bed.postfix.conf, "-H", queue, stderr=subprocess.DEVNULL)
    bed.postfix.flush()
    message = bed.postfix.delivered(queue)
    checks.that(len(message.labels()) == 1, "released, it is delivered with its one label")
    apart = HEAD + b"apart\r\n\r\n"
    client = bed.smtp()
    client.envelope("a@sender.example", "alice@example.org")
    queue = client.data(apart + BODY + b".\r\n", (len(apart),), 0.05).split()[-1]
    client.quit()
    checks.that(not held(bed, queue) and re.search(rf"{queue}: milter-header-warning: .*apart from the body", bed.postfix.log()),
                "a header in a write of its own is delivered, with a line in the log")
    checks.that(not held(bed, whole(bed)), "a message at once is delivered")
    checks.that(not held(bed, whole(bed, FIELD)), "a message at once with a forged field of a bot is delivered")
    checks.that(not held(bed, whole(bed, port=DIRECT_PORT)), "an unobserved message is delivered")
    bed.postfix.set("milter_header_checks =")


def while_away(checks: report.Checks, bed: Bed) -> None:
    """The filter is away, and Postfix accepts without it."""
    report.step("header_checks")
    bed.postfix.set("smtpd_milters = { unix:segmilter/nobody.sock, default_action=accept, connect_timeout=1s }")
    message = bed.postfix.delivered(whole(bed, FIELD))
    checks.that(len(message.labels()) == 1, "without the table, a forged field comes through while segmilter is away")
    bed.postfix.set(f"header_checks = regexp:{FILES / 'postfix/header_checks'}")
    message = bed.postfix.delivered(whole(bed, FIELD))
    checks.that(not message.labels() and message.value("Subject") == "whole", "with it, the field is removed and the rest stays")
    bed.postfix.set("smtpd_milters = { unix:segmilter/milter.sock, default_action=accept, connect_timeout=2s, command_timeout=5s }")
    labels = bed.postfix.delivered(whole(bed, FIELD)).labels()
    checks.that([label.pattern for label in labels] == ["official-mta"], "segmilter's own field passes the table, and the forged one does not")
    bed.postfix.set("header_checks =")


@contextmanager
def running_set(bed: Bed):
    """segmilter-set on the log of the running program, as its head says."""
    errors = bed.root / "segmilter-set.err"
    with open(errors, "wb") as log:
        process = subprocess.Popen(bed.link.server.command(
            "sh", "-c", 'tail -Fn0 "$1" | "$2"', "sh", bed.segmilter.log_file, FILES / "nftables/segmilter-set"),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until(lambda: elements(bed, "seen4") is not None and any(follows(pid, bed.segmilter.log_file) for pid in group(process)), 10,
                   "the set, and a reader at the end of the log")
        yield errors
    finally:
        end_pids(group(process))
        process.wait()


def group(process: subprocess.Popen) -> list[int]:
    done = subprocess.run(["pgrep", "-g", str(process.pid)], capture_output=True, text=True)
    return [int(pid) for pid in done.stdout.split()]


def follows(pid: int, file: Path) -> bool:
    """Whether the process has the file open and has read it to its end: what is written before, `tail -n0` leaves out."""
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            if link.resolve() == file.resolve():
                about = Path(f"/proc/{pid}/fdinfo/{link.name}").read_text()
                return int(about.split("pos:", 1)[1].split()[0]) >= file.stat().st_size
    except (FileNotFoundError, ProcessLookupError):
        pass
    return False


def elements(bed: Bed, name: str) -> list[str] | None:
    """The addresses in a set; None: there is no such set."""
    done = bed.link.server.run("nft", "list", "set", *TABLE.split(), name, capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    found = re.search(r"elements = \{(.*?)\}", done.stdout, re.S)
    return re.findall(r"([0-9a-f.:]{3,}) (?:timeout|expires)", found[1]) if found else []


def firewall(checks: report.Checks, bed: Bed) -> None:
    report.step("nftables")
    with running_set(bed) as errors:
        whole(bed)
        bot(bed, name='x pattern=bot-template writer=template path=full score=9.9 confidence=0.98 "')
        wait_until(lambda: elements(bed, "seen4"), 10, "the bot's address")
        checks.that(elements(bed, "seen4") == [CLIENT4] and elements(bed, "seen6") == [], "a bot's address is in the set")
        bot(bed, v6=True)
        wait_until(lambda: elements(bed, "seen6"), 10, "the bot's address of IPv6")
        checks.that(elements(bed, "seen6") == [CLIENT6], "over IPv6 in the other one")
        opened = connections(bed.link.client, 12)
        checks.that(5 <= opened <= 6, f"of twelve new connections of this address {opened} are let in")
        bed.link.attach_neighbour()
        checks.that(connections(bed.link.neighbour, 12) == 12, "another address makes all of its twelve")
    with running_set(bed) as errors:
        rules = bed.link.server.run("nft", "list", "chain", *TABLE.split(), "in", capture_output=True, text=True).stdout
        checks.that(rules.count("drop") == 2 and elements(bed, "seen4") == [CLIENT4],
                    "started again: no rule is there twice, and the addresses stay")
        # Lines that strangers can bring into a log.
        verdict = "pattern=bot-template writer=template path=full score=9.9 confidence=0.98 action=none"
        with open(bed.segmilter.log_file, "a") as log:
            log.write(f"Nov 27 12:00:00 mx1 postfix/smtpd[7]: NOQUEUE: helo=<x segmilter/filter[1]: A1: message client=203.0.113.9:1 helo=y {verdict} >\n"
                      f'A1: message client=192.0.2.200:1 helo="a {verdict} " pattern=relay writer=stream path=full score=0.3 confidence=0.98 a\n'
                      f"A1: message client=192.0.2.201:1 helo=a {verdict.replace('9.9', '2.9')}\n"
                      f"A1: message client=1.2.3.4.5.6:1 helo=a {verdict}\n"
                      f"Nov 27 12:00:00 mx1 segmilter/filter[1]: A1: message client=192.0.2.202:1 helo=a {verdict}\n")
        wait_until(lambda: "192.0.2.202" in (elements(bed, "seen4") or []), 10, "the last line")
        checks.that(set(elements(bed, "seen4")) == {CLIENT4, "192.0.2.202"}, f"hostile lines add nothing: {elements(bed, 'seen4')}")
        checks.that("1.2.3.4.5.6 was not added" in errors.read_text(), "an address that nft does not accept is reported")


def behind_transparent(checks: report.Checks, program: Path) -> None:
    """The firewall sends the packets to the proxy, and they pass the chain all the same."""
    report.step("nftables, way transparent")
    with Bed(program, tag="filtt", way="transparent") as bed, running_set(bed):
        bot(bed)
        wait_until(lambda: elements(bed, "seen4"), 10, "the bot's address")
        opened = connections(bed.link.client, 12)
        checks.that(elements(bed, "seen4") == [CLIENT4] and 5 <= opened <= 6, f"of twelve new connections of a bot {opened} are let in")


def connections(space: Namespace, attempts: int) -> int:
    """How many of the connections are made; a lost SYN would be sent again after a second."""
    return sum(space.connects(SERVER4, 25, 0.9) for _ in range(attempts))


def main() -> int:
    checks = report.Checks()
    with Bed(Path(sys.argv[1]), tag="filt") as bed:
        header_checks(checks, bed)
        while_away(checks, bed)
        firewall(checks, bed)
        if checks.failed:
            bed.show_logs()
    behind_transparent(checks, Path(sys.argv[1]))
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
