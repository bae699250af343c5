"""Makes a week of one day's history: the day files that the memory wrote today, once more for each of the six days before.

A file is copied by SQLite itself; the times of its rows and hours are moved by whole days, and each queue id becomes another one. All
the rest, such as traces, labels and addresses, is what the memory wrote of mail that was really sent.
"""
import datetime
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

DAYS = 6


def day_of(file: Path) -> datetime.date:
    return datetime.datetime.strptime(re.fullmatch(r"messages-(\d{8})\.db", file.name).group(1), "%Y%m%d").date()


def rows(folder: Path) -> int:
    total = 0
    for file in folder.glob("messages-*.db"):
        with closing(sqlite3.connect(file)) as database:
            total += database.execute("SELECT count(*) FROM messages").fetchone()[0]
    return total


def play_in(folder: Path) -> int:
    """`folder`: the store of a segmilter that does not run. Returns how many rows there are now. What was learnt of networks is removed,
    so that the next start learns it from all days."""
    today = max(folder.glob("messages-*.db"), key=day_of)
    owner = today.stat()
    for back in range(1, DAYS + 1):
        copy = folder / f"messages-{day_of(today) - datetime.timedelta(days=back):%Y%m%d}.db"
        copy.unlink(missing_ok=True)  # of a run around midnight
        with closing(sqlite3.connect(today)) as database:
            database.execute("VACUUM INTO ?", (str(copy),))
        with closing(sqlite3.connect(copy)) as database:
            database.execute("UPDATE messages SET time = time - ?, queue_id = queue_id || ?", (back * 86_400_000, str(back)))
            database.execute("UPDATE hours SET hour = hour - ?", (back * 24,))
            database.commit()
        os.chown(copy, owner.st_uid, owner.st_gid)
        copy.chmod(owner.st_mode & 0o777)
    (folder / "reputation.state").unlink(missing_ok=True)
    return rows(folder)
