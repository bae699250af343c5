#!/usr/bin/python3
"""Runs a program under what a systemd unit would put it, as far as one can without systemd as process 1.

    sandbox.py UNIT PROGRAM [ARGUMENT…]      as a command: system calls and socket families, then exec
    command(UNIT, USER)                      the words in front of it: account, capabilities, no new privileges

Applied: AmbientCapabilities, CapabilityBoundingSet, NoNewPrivileges, UMask, SystemCallFilter (its sets as
`systemd-analyze syscall-filter` has them), RestrictAddressFamilies, MemoryDenyWriteExecute. Not applied: what
systemd does with mounts (ProtectSystem and the like) and cgroups.
"""
import ctypes
import errno
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

ALLOW, EPERM = 0x7FFF0000, 0x00050000 | errno.EPERM
NOT_EQUAL, MASKED_EQUAL = 1, 7  # enum scmp_compare
PROT_WRITE, PROT_EXEC = 2, 4


class Argument(ctypes.Structure):
    """struct scmp_arg_cmp"""
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def settings(unit: Path) -> dict[str, list[str]]:
    """The words of each key of [Service], line by line."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().partition("[Service]")[2].splitlines():
        if line.startswith("["):
            break
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def words(found: dict, key: str) -> list[str]:
    return " ".join(found.get(key, [])).split()


def system_calls(lines: list[str]) -> set[str]:
    """What SystemCallFilter= lines leave: the first says that this is a list of what is allowed, `~` takes away."""
    sets: dict[str, list[str]] = {}
    listing = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter"], check=True, capture_output=True, text=True)
    name = ""
    for line in listing.stdout.splitlines():
        word = re.sub("#.*", "", line).strip()
        if line.startswith("@"):
            name = word
        elif word:
            sets.setdefault(name, []).append(word)
    allowed: set[str] = set()

    def apply(word: str, add: bool) -> None:
        if word.startswith("@"):
            for member in sets[word]:
                apply(member, add)
        else:
            (allowed.add if add else allowed.discard)(word)

    apply("@default", True)
    for line in lines:
        for word in line.lstrip("~").split():
            apply(word, not line.startswith("~"))
    return allowed


def restrict(found: dict[str, list[str]]) -> None:
    """Three filters as systemd makes them; the kernel takes the strictest answer."""
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    library.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint,
                                               ctypes.POINTER(Argument)]

    def rule(context, action: int, call: str, *arguments: Argument) -> None:
        number = library.seccomp_syscall_resolve_name(call.encode())
        if number == -1:  # not of this architecture
            return
        result = library.seccomp_rule_add_array(context, action, number, len(arguments),
                                                (Argument * len(arguments))(*arguments))
        if result != 0:
            raise OSError(-result, f"seccomp rule for {call}")

    def load(context) -> None:
        if library.seccomp_load(context) != 0:
            raise OSError("seccomp_load")

    calls = system_calls(found["SystemCallFilter"])
    families = [int(getattr(socket, name)) for name in words(found, "RestrictAddressFamilies")]
    others = library.seccomp_init(ALLOW)
    for family in range(max(families) + 30):
        if family not in families:
            rule(others, EPERM, "socket", Argument(0, 4, family, 0))
    load(others)
    if words(found, "MemoryDenyWriteExecute") == ["yes"]:
        memory = library.seccomp_init(ALLOW)
        rule(memory, EPERM, "mmap", Argument(2, MASKED_EQUAL, PROT_WRITE | PROT_EXEC, PROT_WRITE | PROT_EXEC))
        for call in ("mprotect", "pkey_mprotect"):
            rule(memory, EPERM, call, Argument(2, MASKED_EQUAL, PROT_EXEC, PROT_EXEC))
        load(memory)
    context = library.seccomp_init(EPERM)
    for call in sorted(calls):
        rule(context, ALLOW, call)
    load(context)


def command(unit: Path, user: str, extra_capabilities: tuple[str, ...] = ()) -> list[str]:
    found = settings(unit)

    def names(key: str) -> str:
        listed = [word.removeprefix("CAP_").lower() for word in words(found, key)] + list(extra_capabilities)
        return ",".join(f"+{name}" for name in listed)

    return ["setpriv", "--reuid", user, "--regid", user if user != "nobody" else "nogroup", "--clear-groups",
            "--no-new-privs", "--bounding-set", "-all," + names("CapabilityBoundingSet"),
            "--inh-caps", "-all," + names("AmbientCapabilities"), "--ambient-caps", "-all," + names("AmbientCapabilities"),
            "/usr/bin/python3", str(Path(__file__).resolve()), str(unit)]


if __name__ == "__main__":
    service = settings(Path(sys.argv[1]))
    os.umask(int(service["UMask"][0], 8))
    restrict(service)
    os.execv(sys.argv[2], sys.argv[2:])
