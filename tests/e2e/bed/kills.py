"""Processes of segmilter are killed while mail arrives, and a reader watches the store (tests/long/store_kills, e2e/memory.py)."""
import os
import random
import re
import signal
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

from .process import wait_until
from .report import Checks
from .smtp import Refused
from .testbed import Bed

PROCESSES = ("proxy", "filter", "memory", "desk", "supervisor")
CLIENTS = 6
TEXT = b"Subject: x\r\n\r\n" + b"some text\r\n" * 200 + b".\r\n"


def store_rows(folder: Path, sql: str) -> list[tuple]:
    """The rows of all day files, as a reader sees them."""
    rows = []
    for file in sorted(folder.glob("messages-????????.db")):
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)) as database:
            if database.execute("PRAGMA user_version").fetchone() != (0,):  # 0: its tables are being made
                rows += database.execute(sql).fetchall()
    return rows


class Clients:
    """Sessions that send one message after the other; a session that is cut is begun again."""

    def __init__(self, bed: Bed):
        self.answered = 0
        self._bed, self._over, self._lock = bed, threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        while not self._over.is_set():
            try:
                client = self._bed.smtp()
                client.envelope("sender@sender.example", "alice@example.org")
                client.data(TEXT)
                with self._lock:
                    self.answered += 1
                client.quit()
            except (OSError, Refused):  # cut, or refused for the moment
                time.sleep(0.02)

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(70)


class Kills:
    SETTINGS = {"desk": {"listen": ["127.0.0.1:9125"]}, "proxy": {"max_sessions_per_address": 100}}

    def __init__(self, bed: Bed, chance: random.Random):
        self._bed, self._chance = bed, chance
        self.folder = bed.segmilter.root / "memory"
        self._committed: set[str] = set()  # queue ids of rows that a reader has seen

    def __enter__(self):
        # The mail is accepted and thrown away, because the store does not depend on what happens to it after the queue.
        self._bed.postfix.set("virtual_transport = discard:")
        self._bed.postfix.set("enable_long_queue_ids = yes")  # the short ones come again
        self._clients = Clients(self._bed)
        return self

    def __exit__(self, *_):
        self._clients.stop()

    def _read(self) -> set[str]:
        return {row[0] for row in store_rows(self.folder, "SELECT queue_id FROM messages")}

    def rounds(self, count: int, checks: Checks) -> None:
        """Kills each process once a round. A child that dies twice in a minute is started again later and later; killing the supervisor,
        which comes last, resets these waits."""
        lost = dict.fromkeys(PROCESSES, 0)
        for _ in range(count):
            for process in PROCESSES:
                self._serving()
                time.sleep(self._chance.uniform(0, 0.5))
                self._committed |= self._read()
                self._kill(process)
                lost[process] += len(self._committed - self._read())
        for process in PROCESSES:
            checks.that(not lost[process], f"{process} killed {count} times: {lost[process]} committed rows are lost")

    def _serving(self) -> None:
        wait_until(lambda: all(self._bed.segmilter.child(name) for name in PROCESSES[:-1]), 60, "all processes")
        answered = self._clients.answered
        wait_until(lambda: self._clients.answered > answered, 60, "mail to flow", every=0.01)

    def _kill(self, process: str) -> None:
        segmilter = self._bed.segmilter
        if process == "supervisor":
            segmilter.kill()
            time.sleep(1)  # RestartSec of the unit
            segmilter.start()
            return
        pid = segmilter.child(process)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: segmilter.child(process) not in (0, pid), 60, f"another {process}", every=0.02)

    def finish(self, checks: Checks) -> None:
        """The store at the end: it is sound, it has each message once, and its totals of hours count as many messages as its rows."""
        self._serving()
        self._clients.stop()
        time.sleep(1)  # five times the time until a batch is written
        judged = set(re.findall(r": (\w+): message ", self._bed.segmilter.log()))
        ids = [row[0] for row in store_rows(self.folder, "SELECT queue_id FROM messages")]
        checks.that(len(self._committed) > 0 and self._committed <= set(ids),
                    f"{self._clients.answered} messages were taken; all {len(self._committed)} rows that a reader has seen are there")
        checks.that(len(ids) == len(set(ids)) and set(ids) <= judged,
                    f"each of the {len(ids)} rows belongs to one of {len(judged)} judged messages, and no message has two: "
                    f"{len(judged - set(ids))} were on their way when a process was killed")
        counted = sum(row[0] or 0 for row in store_rows(self.folder, "SELECT sum(n) FROM hours"))
        checks.that(counted == len(ids), f"the hours count {counted} messages: a row and its count are written together")
        sound = store_rows(self.folder, "PRAGMA integrity_check")
        checks.that(set(sound) == {("ok",)} and not list(self.folder.glob("*corrupt*")), f"integrity_check: {sound}")
