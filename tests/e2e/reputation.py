#!/usr/bin/python3
"""What was learnt of a network is part of the score of its next message, whatever happens to the memory process.

    reputation.py PROGRAM

A dozen bots of one network send templates to a real Postfix. The next message of that network, which is written like that of any
mail server, has a higher score, with its reasons in the log, the header and the store. The memory process is stopped, killed,
upgraded and restarted meanwhile; then the network is forgotten.
"""
import os
import re
import signal
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

from bed import report
from bed.process import wait_until
from bed.smtp import stuffed
from bed.testbed import Bed

BOTS = [f"192.0.2.{number}" for number in range(100, 112)]
NEIGHBOURS = [f"192.0.2.{number}" for number in range(60, 72)]
SETTINGS = {"weights": {"bot-template": 8.0}, "log": {"level": "debug"}, "desk": {"listen": ["127.0.0.1:9125"]}}
# The bed has no other network, and the neighbours send wanted mail: nothing but the bots speaks against this network.
LEVEL = r"network:([+-]\d\.\d)/(\d+)/(\d+)"


def message(tag: str) -> bytes:
    return (b"Message-ID: <%s@one.example>\r\nFrom: One <one@one.example>\r\nSubject: You have won\r\nX-Test-Id: %s\r\n\r\n"
            % (tag.encode(), tag.encode()) + b"text\r\n" * 500)


def send(bed: Bed, tag: str, source: str, template: bool = False) -> str:
    """Sends a message, as a template's writes or in one; returns its line of the log."""
    before = len(bed.segmilter.log())
    client = bed.smtp(source=source, name="one.example")
    client.envelope("one@one.example", "alice@example.org")
    content = message(tag)
    client.data(stuffed(content), [content.index(b"You have"), 8, 40] if template else None, pause=0.02)
    client.quit()
    line = r": message client=%s:.*" % re.escape(source)
    wait_until(lambda: re.search(line, bed.segmilter.log()[before:]), 10, f"the line of {tag}")
    return re.search(line, bed.segmilter.log()[before:])[0]


def number(line: str, key: str) -> float:
    found = re.search(rf" {key}=([+-]?[0-9.]+)", line)
    return float(found[1]) if found else 0.0


def metric(bed: Bed, name: str) -> int:
    page = bed.segmilter.space.run("curl", "-s", "http://127.0.0.1:9125/metrics", capture_output=True, text=True).stdout
    return int(re.search(rf"(?m)^segmilter_{re.escape(name)} (\d+)$", page)[1])


def next_memory(bed: Bed, old: int) -> None:
    wait_until(lambda: bed.segmilter.child("memory") not in (0, old), 30, "another memory")


def header_of(bed: Bed, tag: str) -> dict:
    found = wait_until(lambda: next((one for one in bed.postfix.mailbox("alice").messages() if one.value("X-Test-Id") == tag), None),
                       10, f"{tag} to be delivered")
    return found.labels()[0].fields


def learnt(checks: report.Checks, bed: Bed) -> float:
    first = send(bed, "first", NEIGHBOURS[0])
    checks.that("reputation=" not in first, f"a stranger has no reputation: {first[-120:]}")
    for at, bot in enumerate(BOTS):
        send(bed, f"bot-{at}", bot, template=True)
    wait_until(lambda: metric(bed, 'reputation_lessons_total{of="unwanted"}') == len(BOTS), 10, "the bots to be learnt")
    line = send(bed, "second", NEIGHBOURS[1])
    added = number(line, "reputation")
    level = re.search(LEVEL, line)
    checks.that(added >= 0.3 and level and float(level[1]) == added and int(level[2]) == len(BOTS),
                f"a neighbour of {len(BOTS)} bots: {level[0] if level else line}")
    checks.that(abs(number(line, "score") - number(first, "score") - added) < 0.01,
                f"the same message has {number(line, 'score')} where it had {number(first, 'score')}, by {added:+}")
    sentence = re.search(r"network 192\.0\.2\.0/24 [+-]\d\.\d \(\d+ of \d+ in 14 d\)", bed.segmilter.log())
    checks.that(sentence is not None, f"in words: {sentence[0] if sentence else 'missing'}")
    header = header_of(bed, "second")
    checks.that(float(header["score"]) == number(line, "score") and re.search(LEVEL, header["why"]),
                f"the header says the same: score={header['score']}; why={header['why']}")
    return added


def stored(checks: report.Checks, bed: Bed) -> None:
    folder = bed.segmilter.root / "memory"
    time.sleep(0.5)
    off = []
    for file in folder.glob("messages-????????.db"):
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            for score, terms in database.execute("SELECT score, terms FROM sightings"):
                total = sum(float(term.rsplit(":", 1)[1]) for term in (terms or "").split(",") if term)
                if abs(total - score) > 0.01:
                    off.append((score, terms))
    checks.that(not off, f"in each row the terms add up to the score {off[:2] or ''}")


def outlives(checks: report.Checks, bed: Bed, added: float) -> None:
    old = bed.segmilter.child("memory")
    os.kill(old, signal.SIGSTOP)
    line = send(bed, "stopped", NEIGHBOURS[2])
    checks.that(number(line, "reputation") == added, f"memory stopped: {number(line, 'reputation'):+} as before")
    os.kill(old, signal.SIGKILL)
    line = send(bed, "killed", NEIGHBOURS[3])
    checks.that(number(line, "reputation") == added, f"memory killed: {number(line, 'reputation'):+} as before")
    next_memory(bed, old)
    line = send(bed, "again", NEIGHBOURS[4])
    checks.that(number(line, "reputation") == added, "another memory goes on with the table")

    old = bed.segmilter.child("memory")
    bed.segmilter.upgrade()
    line = send(bed, "upgraded", NEIGHBOURS[5])
    checks.that(number(line, "reputation") == added and bed.segmilter.child("memory") != old, "USR2: the next program goes on with it")

    bed.segmilter.stop()
    state = bed.segmilter.root / "memory" / "reputation.state"
    checks.that(state.exists() and state.stat().st_size > 0, f"a stop writes the table: {state.stat().st_size} bytes")
    bed.segmilter.start()
    line = send(bed, "restarted", NEIGHBOURS[6])
    checks.that(number(line, "reputation") == added, "a start reads it")

    bed.segmilter.stop()
    state.unlink()
    rebuilt = bed.segmilter.log().count("entries from the day files")
    bed.segmilter.start()
    wait_until(lambda: bed.segmilter.log().count("entries from the day files") > rebuilt, 20, "the table to be rebuilt")
    line = send(bed, "rebuilt", NEIGHBOURS[7])
    checks.that(number(line, "reputation") == added, f"without the file it is rebuilt from the day files: {number(line, 'reputation'):+}")


def networks(checks: report.Checks, bed: Bed) -> None:
    bed.segmilter.put("networks.csv", "192.0.2.0/24,64500,cellular,RO\n")
    named = {**SETTINGS, "reputation": {"networks": [str(bed.segmilter.root / "networks.csv")]}}
    bed.segmilter.reload(named)
    time.sleep(0.3)
    line = send(bed, "cellular", NEIGHBOURS[8])
    checks.that("asn=64500 access=cellular country=RO" in line, "HUP: a file of networks names the system, and marks the cellular network")
    bed.segmilter.put("networks.csv", "192.0.2.0/24,64501\n192.0.2.0/33,1\n")
    bed.segmilter.reload(named)
    time.sleep(0.3)
    line = send(bed, "kept", NEIGHBOURS[9])
    error = re.search(r"reputation\.networks: \S+networks\.csv:2: .*", bed.segmilter.log())
    checks.that("asn=64500" in line and error is not None, f"a faulty one is refused, and the old one stays: {error[0] if error else '-'}")


def forgotten(checks: report.Checks, bed: Bed) -> None:
    said = bed.segmilter.space.run(bed.segmilter.program, "forget", "-c", bed.segmilter.config, "192.0.2.0/24",
                                   capture_output=True, text=True)
    wait_until(lambda: re.search(r"reputation: \d+ entries are forgotten", bed.segmilter.log()), 10, "the table to forget")
    line = send(bed, "forgotten", NEIGHBOURS[10])
    # What was learnt of the whole autonomous system stays, because it is not about one network.
    left = re.findall(r"\b(?:address|network):", line)
    checks.that(said.returncode == 0 and not left, f"{said.stdout.strip()}; the next message of it has no term of its own: {left}")


def main() -> int:
    checks = report.Checks()
    with Bed(Path(sys.argv[1]), SETTINGS, tag="rep") as bed:
        for address in [*BOTS, *NEIGHBOURS]:
            bed.link.client.ip("addr", "add", f"{address}/24", "dev", "eth0")
        added = learnt(checks, bed)
        stored(checks, bed)
        outlives(checks, bed, added)
        networks(checks, bed)
        forgotten(checks, bed)
        checks.that(metric(bed, 'reputation_lookups_total{answer="no"}') == 0, "no question was without an answer")
        if checks.failed:
            bed.show_logs()
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
