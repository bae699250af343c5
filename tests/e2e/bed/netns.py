"""Network namespaces, and sockets that are made inside them.

A socket stays in the namespace in which it was made. So a client in this process can speak from the client's namespace: a
short-lived thread enters it (setns applies to one thread), makes the socket and ends.
"""
import ctypes
import os
import re
import socket
import subprocess
import threading
from pathlib import Path

from .process import alive, end_pids

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """One namespace by name; delete() removes it and with it its links."""

    def __init__(self, name: str):
        self.name = name
        self.path = Path("/run/netns") / name
        subprocess.run(["ip", "netns", "add", name], check=True)
        self.ip("link", "set", "lo", "up")

    def delete(self) -> None:
        subprocess.run(["ip", "netns", "del", self.name], check=False, stderr=subprocess.DEVNULL)

    def command(self, *argv) -> list[str]:
        """The command line that runs argv in here."""
        return ["nsenter", f"--net={self.path}", *map(str, argv)]

    def run(self, *argv, **options) -> subprocess.CompletedProcess:
        options.setdefault("check", True)
        return subprocess.run(self.command(*argv), **options)

    def ip(self, *argv) -> None:
        subprocess.run(["ip", "-n", self.name, *map(str, argv)], check=True)

    def inside(self, function):
        """Calls function() in a thread that has entered this namespace, and returns its result."""
        outcome = {}

        def body():
            try:
                with open(self.path, "rb") as handle:
                    if _libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), f"setns {self.name}")
                outcome["value"] = function()
            except BaseException as error:  # passed to the caller's thread
                outcome["error"] = error

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        if "error" in outcome:
            raise outcome["error"]
        return outcome["value"]

    def socket(self, family: int = socket.AF_INET) -> socket.socket:
        return self.inside(lambda: socket.socket(family, socket.SOCK_STREAM))

    def connects(self, address: str, port: int, seconds: float) -> bool:
        """Whether a connection over IPv4 is made in that time; it is closed at once."""
        with self.socket() as connection:
            connection.settimeout(seconds)
            return connection.connect_ex((address, port)) == 0

    def sysctl(self, key: str, value) -> None:
        path = Path("/proc/sys/net") / key
        self.inside(lambda: path.write_text(f"{value}\n"))

    def pids(self) -> list[int]:
        """Processes in here: all of them descend from this bed."""
        return pids_in(self.name)


def pids_in(name: str) -> list[int]:
    listing = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
    return [int(word) for word in listing.stdout.split() if int(word) != os.getpid()]


def fresh_tag(word: str) -> str:
    """The first part of the names of a run's namespaces; no other run that is alive has it."""
    return f"segbed-{word}-{os.getpid()}"


def sweep() -> None:
    """Removes what a killed run has left (after SIGKILL it cannot clean up): namespaces with this kind of name whose process no longer
    exists, and the processes in them."""
    for path in Path("/run/netns").glob("segbed-*"):
        owner = re.fullmatch(r"segbed-\w+-(\d+)(-\w+)?", path.name)
        if owner and not alive(int(owner.group(1))):
            end_pids(pids_in(path.name))
            subprocess.run(["ip", "netns", "del", path.name], check=False, stderr=subprocess.DEVNULL)
