"""Child processes of the bed: they are started, waited for, and ended by their ids.

A wait ends when its condition holds. It fails at once when a process has died that the bed needs, and at the latest at its limit.
The limit only detects a test that hangs and measures nothing. So it is far above the time that a slow or shared machine needs.
"""
import os
import signal
import subprocess
import time
from pathlib import Path


PATIENCE = 6  # a slow machine may be this many times slower than a fast one

_needed = {}


class Died(Exception):
    """A process has ended that the awaited condition needs."""


def need_alive(name: str, ended) -> None:
    """From now on every wait fails when ended() returns a reason, until not_needed(name) is called."""
    _needed[name] = ended


def not_needed(name: str) -> None:
    _needed.pop(name, None)


def check_needed(what: str) -> None:
    """Raises Died if a process has ended that `what` needs."""
    for name, ended in list(_needed.items()):
        if reason := ended():
            not_needed(name)  # told once
            raise Died(f"{name} {reason} while the test waited for {what}")


def wait_until(condition, seconds: float, what: str, every: float = 0.05):
    """Polls condition() until it is true and returns its value; TimeoutError names what was awaited. `seconds`: the longest time on
    a fast machine."""
    limit = PATIENCE * seconds
    deadline = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        check_needed(what)
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {limit:g} s for {what}")
        time.sleep(every)


def end(process: subprocess.Popen, seconds: float = 5, first: int = signal.SIGTERM) -> int:
    """Asks a child to end (TERM), later kills it; returns its status."""
    if process.poll() is None:
        process.send_signal(first)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


def end_pids(pids: list[int], seconds: float = 3) -> None:
    """The same for processes that are not our direct children."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            pids = [pid for pid in pids if alive(pid)]
            if not pids:
                return
            time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def children(pid: int) -> list[int]:
    """Direct children of every thread of a process."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(word) for word in task.read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def title(pid: int) -> str:
    """Command line and short name of a process, for telling children apart."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        return f"{line} [{Path(f'/proc/{pid}/comm').read_text().strip()}]"
    except (FileNotFoundError, ProcessLookupError):
        return ""
