#!/usr/bin/python3
"""What was judged is remembered, and nothing that happens to memory reaches the mail.

    memory.py PROGRAM

Messages come through a real Postfix while the memory process serves, is killed, is stopped, has no folder, and is replaced by
an upgrade, while its disk is full, and while its file is damaged. Each message is delivered at once, with its label. Each row of the
store belongs to one line of the log. At last each process is killed three times: the short form of tests/long/store_kills.
"""
import json
import os
import random
import re
import signal
import sys
import time
from pathlib import Path

from bed import report
from bed.disk import SmallDisk
from bed.kills import Kills, store_rows
from bed.mail import parse_label
from bed.process import wait_until
from bed.testbed import Bed

SETTINGS = {"desk": {"listen": ["127.0.0.1:9125"]}}
SENDER, SECRET = "stranger@sender.example", "Zwetschgendatschi"
TEXT = b"Subject: " + SECRET.encode() + b"\r\n\r\n" + (SECRET.encode() + b" some text\r\n") * 300 + b".\r\n"


def send(bed: Bed, count: int) -> float:
    """Sends and waits for delivery; the longest time from the dot to its answer, in seconds."""
    box = bed.postfix.mailbox("alice")
    before, longest = box.count(), 0.0
    for _ in range(count):
        client = bed.smtp()
        client.envelope(SENDER, "alice@example.org")
        began = time.monotonic()
        client.data(TEXT)
        longest = max(longest, time.monotonic() - began)
        client.quit()
    messages = bed.postfix.wait_delivered("alice", before + count, 30)
    if len(messages) != before + count or not all(message.labels() for message in messages):
        raise RuntimeError(f"{len(messages)} of {before + count} messages, or one without a label")
    return longest


def folder(bed: Bed) -> Path:
    return bed.segmilter.root / "memory"


def ask(bed: Bed, sql: str) -> list[tuple]:
    return store_rows(folder(bed), sql)


def stored(bed: Bed) -> set[str]:
    return {row[0] for row in ask(bed, "SELECT queue_id FROM sightings WHERE queue_id IS NOT NULL")}


def logged(bed: Bed) -> set[str]:
    """Queue ids of the messages that the filter has judged."""
    return set(re.findall(r": (\w+): message ", bed.segmilter.log()))


def all_stored(bed: Bed, seconds: float = 20) -> bool:
    return bool(wait_until(lambda: logged(bed) and stored(bed) == logged(bed), seconds, "a row for each message", every=0.1))


def metric(bed: Bed, name: str) -> int:
    page = bed.segmilter.space.run("curl", "-s", "http://127.0.0.1:9125/metrics", capture_output=True, text=True).stdout
    return int(re.search(rf"(?m)^segmilter_{re.escape(name)} (\d+)$", page)[1])


def until_logged(bed: Bed, words: str) -> None:
    """Messages are sent until the log has `words` once more than now."""
    count = bed.segmilter.log().count(words)
    wait_until(lambda: bed.segmilter.log().count(words) > count or send(bed, 1) and False, 60, f'the words "{words}"', every=0.3)


def full_disk(checks: report.Checks, bed: Bed) -> None:
    report.step("full disk")
    with SmallDisk(folder(bed), "2m") as disk:
        until = time.monotonic() + 20  # memory looks every 5 s whether its file is still the one in the folder
        while not stored(bed) and time.monotonic() < until:
            send(bed, 1)
            time.sleep(0.3)
        checks.that(stored(bed), "rows go to the small disk")
        before, logged_before = metric(bed, 'memory_dropped_total{reason="disk"}'), logged(bed)
        disk.fill()
        until_logged(bed, "messages are not remembered")
        longest = send(bed, 20)
        disk.empty()
        until_logged(bed, "messages are remembered again")
        send(bed, 5)
        last = max(logged(bed) - logged_before, key=bed.segmilter.log().find)
        wait_until(lambda: last in stored(bed), 10, "the row of the last message")
        missing = len(logged(bed) - logged_before - stored(bed))
        checks.that(missing == metric(bed, 'memory_dropped_total{reason="disk"}') - before >= 20,
                    f"disk full: {missing} messages are delivered, dropped and counted (the longest answer took {longest:.3f} s); "
                    "with room again it comes back by itself")
        checks.that(ask(bed, "PRAGMA integrity_check") == [("ok",)], "the file on that disk is sound")


def damaged(checks: report.Checks, bed: Bed) -> None:
    report.step("damaged file")
    send(bed, 20)
    wait_until(lambda: len(stored(bed)) >= 20, 20, "rows")
    bed.segmilter.stop()
    with open(next(folder(bed).glob("messages-????????.db")), "r+b") as pages:
        pages.seek(8192)
        pages.write(b"damaged " * 1024)
    bed.segmilter.start()
    send(bed, 5)
    wait_until(lambda: len(stored(bed)) == 5, 20, "five rows")
    aside = [path.name for path in folder(bed).glob("*.corrupt-*") if path.name[-1].isdigit()]
    checks.that(len(aside) == 1 and f"is moved to {folder(bed)}/{aside[0]}" in bed.segmilter.log() and metric(bed, "memory_files_corrupt_total") == 1,
                f"a damaged file is found at the start and moved to {' '.join(aside)}, and mail flows")


def killed(checks: report.Checks, bed: Bed) -> None:
    report.step("each process killed three times")
    with Kills(bed, random.Random(20261127)) as kills:
        kills.rounds(3, checks)
        kills.finish(checks)


def in_trouble(checks: report.Checks) -> None:
    for part in (full_disk, damaged, killed):
        with Bed(Path(sys.argv[1]), {**SETTINGS, **Kills.SETTINGS}, tag="trouble") as bed:
            part(checks, bed)
            if checks.failed:
                bed.show_logs(60)


def main() -> int:
    checks = report.Checks()
    with Bed(Path(sys.argv[1]), SETTINGS, tag="store") as bed:
        quick = send(bed, 20)
        checks.that(all_stored(bed), "a row for each of 20 messages, under the queue id of the log")
        pattern, address, network, port, size = ask(
            bed, "SELECT pattern, address, network, port, size FROM sightings LIMIT 1")[0]
        line = re.search(r": message .*", bed.segmilter.log())[0]
        checks.that(f"pattern={pattern} " in line and f"client={address}:{port} " in line and size > len(TEXT) - 10,
                    f"a row says what the log says: {pattern}, {address} port {port} in {network}, {size} bytes")
        whole = b"".join(file.read_bytes() for file in folder(bed).iterdir())
        checks.that(not any(word in whole for word in (SECRET.encode(), b"sender.example", b"alice", b"client.example")),
                    "no text, sender, recipient or EHLO name in any byte of the store")

        message = bed.postfix.mailbox("alice").messages()[-1]
        queue_id = re.search(r" id (\w+)", message.value("Received"))[1]
        explained = look_back(bed, "history", "--format", "json", queue_id)
        label = parse_label(explained["header"])
        checks.that(label.fields == message.labels()[0].fields and explained["queue_id"] == queue_id,
                    f"history {queue_id}: the header field of the delivered message, in all {len(label.fields)} values")
        parts = sum(reason["part"] or 0 for reason in explained["reasons"]) + explained["rest"]
        checks.that(abs(parts - explained["score"]) < 0.002, f"its reasons add up to the score, {explained['score']}")
        counted = look_back(bed, "report", "--format", "json")
        checks.that(counted["messages"] == len(logged(bed)), f"report counts {counted['messages']} messages")

        old = bed.segmilter.child("memory")
        os.kill(old, signal.SIGKILL)
        killed = send(bed, 20)
        wait_until(lambda: bed.segmilter.child("memory") not in (0, old), 10, "another memory")
        checks.that(all_stored(bed), f"memory killed: all 20 stored by the next one; the longest answer took {killed:.3f} s ({quick:.3f} s before)")

        old = bed.segmilter.child("memory")
        os.kill(old, signal.SIGSTOP)
        stopped = send(bed, 20)
        checks.that(stopped < 1, f"memory stopped: the longest answer took {stopped:.3f} s")
        wait_until(lambda: bed.segmilter.child("memory") not in (0, old), 30, "another memory")
        checks.that(all_stored(bed), "what waited in the socket is stored by the next one")

        aside = folder(bed).with_name("aside")
        folder(bed).rename(aside)
        wait_until(lambda: "messages are not remembered" in bed.segmilter.log() or send(bed, 1) and False, 30,
                   "the log to name the folder", every=0.5)
        dropped = metric(bed, 'memory_dropped_total{reason="disk"}')
        aside.rename(folder(bed))
        wait_until(lambda: "messages are remembered again" in bed.segmilter.log() or send(bed, 1) and False, 30,
                   "the log to say that it is over", every=0.5)
        time.sleep(1)
        missing = len(logged(bed) - stored(bed))
        checks.that(0 < missing == metric(bed, 'memory_dropped_total{reason="disk"}') >= dropped > 0,
                    f"without its folder {missing} messages are delivered, dropped and counted; it comes back by itself")

        bed.segmilter.reload({**SETTINGS, "memory": {**memory_settings(bed), "addresses": "truncated"}})
        time.sleep(0.5)
        before = stored(bed)
        send(bed, 5)
        wait_until(lambda: len(stored(bed) - before) == 5, 20, "five rows")
        rows = ask(bed, "SELECT address, port, network FROM sightings ORDER BY id DESC LIMIT 5")
        checks.that(all(row[:2] == (None, None) and row[2] == network for row in rows),
                    f"HUP, addresses truncated: the last five rows have {rows[0]}")

        old = bed.segmilter.child("memory")
        before = stored(bed)
        bed.segmilter.upgrade()
        send(bed, 10)
        wait_until(lambda: len(stored(bed) - before) == 10, 20, "ten rows")
        checks.that(bed.segmilter.child("memory") != old, "USR2: another memory goes on in the same file")

        before = stored(bed)
        send(bed, 10)
        bed.segmilter.stop()
        logs = list(folder(bed).glob("*-wal"))
        checks.that(not logs, "a stop leaves no write-ahead log")
        checks.that(len(stored(bed) - before) == 10, "a stop writes what is left")
        checks.that(ask(bed, "PRAGMA quick_check") == [("ok",)], "the file is sound")
        if checks.failed:
            bed.show_logs()
    in_trouble(checks)
    return checks.finish()


def look_back(bed: Bed, command: str, *arguments: str) -> dict:
    """What one of the commands that read the store prints as JSON, while the service runs."""
    done = bed.segmilter.space.run(bed.program, command, "-c", bed.segmilter.config, *arguments, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.returncode} {done.stderr}")
    return json.loads(done.stdout)


def memory_settings(bed: Bed) -> dict:
    return {"folder": str(folder(bed)), "min_free": 0}


if __name__ == "__main__":
    sys.exit(main())
