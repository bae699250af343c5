"""A Debian 12 of its own: a root folder by debootstrap, systemd as process 1, and only the packages of a fresh machine.

    make_base(folder, mirror)                       once: some minutes, 250 MB
    DebianMachine(space, root, base).start()        `root` becomes a copy of the base

Its processes are in the network namespace `space`. Only commands by online() see this machine's network, so that apt can fetch packages.
"""
import shutil
import subprocess
from pathlib import Path

from bed.machine import Machine
from bed.netns import Namespace

# What debootstrap's smallest variant lacks of a machine that a person would log into.
INCLUDED = "systemd,systemd-sysv,dbus,ca-certificates"
SOURCES = """deb {mirror} bookworm main
deb {mirror} bookworm-updates main
deb http://deb.debian.org/debian-security bookworm-security main
"""


def make_base(folder: Path, mirror: str) -> None:
    """`folder` is there and complete, or it is not there."""
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    subprocess.run(["debootstrap", "--variant=minbase", f"--include={INCLUDED}", "bookworm", unfinished, mirror],
                   check=True, stdout=subprocess.DEVNULL)
    (unfinished / "etc/apt/sources.list").write_text(SOURCES.format(mirror=mirror))
    unfinished.rename(folder)


class DebianMachine(Machine):
    target, usr = "multi-user.target", ""

    def __init__(self, space: Namespace, root: Path, base: Path):
        self._base = base
        super().__init__(space, root, build=Path())

    def _furnish(self) -> None:
        subprocess.run(["cp", "-a", "--reflink=auto", self._base, self.root], check=True)
        (self.root / "etc/hostname").write_text("mx1\n")
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 mx1.example.org mx1\n::1 localhost\n")
        shutil.copyfile("/etc/resolv.conf", self.root / "etc/resolv.conf")

    def online(self, *argv, **options) -> subprocess.CompletedProcess:
        """A command in there with this machine's network; both outputs are one."""
        options = {"check": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "timeout": 900, **options}
        environment = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"]
        return subprocess.run(["nsenter", "--target", str(self.init), "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--",
                               *environment, *map(str, argv)], stdin=subprocess.DEVNULL, **options)

    def apt(self, *argv) -> str:
        done = self.online("apt-get", "-q", "-y", *argv, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"apt-get {' '.join(map(str, argv))}:\n{done.stdout[-4000:]}")
        return done.stdout

    def shell(self, line: str) -> str:
        """A line as root types it; its output. An error ends the test."""
        done = self.run("/bin/sh", "-ec", line, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{line}\nended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def installed_files(self) -> set[str]:
        """All that lies where packages and their scripts write, without what dpkg, apt and the logs keep for themselves."""
        found = set()
        for top in ("etc", "usr", "lib", "var/lib", "var/spool", "run"):
            listing = self.run("find", f"/{top}", "-xdev", "-printf", "%p\\n").stdout
            found |= {path for path in listing.splitlines() if not path.startswith(KEPT_BY_OTHERS)}
        return found


KEPT_BY_OTHERS = ("/var/lib/dpkg", "/var/lib/apt", "/var/lib/systemd", "/var/lib/postfix", "/run/systemd", "/run/user", "/run/log",
                  "/var/spool/postfix/active", "/var/spool/postfix/incoming", "/var/spool/postfix/deferred", "/var/spool/postfix/defer",
                  "/var/spool/postfix/maildrop", "/var/spool/postfix/pid", "/var/spool/postfix/private", "/var/spool/postfix/public",
                  "/usr/share/man", "/etc/ld.so.cache", "/run/credentials", "/run/lock", "/run/netns")
