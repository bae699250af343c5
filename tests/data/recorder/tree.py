"""The folder in which a program is installed: it is laid over the machine's root.

A tree has the machine's files, and in its own layer the files that apt-get installs there. So nothing is installed on the machine, and
mail servers that exclude each other have separate trees. npm packages need no tree: each version is in a folder below NPM. Trees stay
below /var/lib/segmilter-test; delete that folder to remove them. The mounts are in this process's mount namespace and end with it.
Needs overlayfs.
"""
import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from bed.netns import Namespace

TREES = Path("/var/lib/segmilter-test/programs")
NPM = TREES / "npm"
HOST = "mail.sender.example"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HOSTS = f"127.0.0.1 localhost\n192.0.2.7 {HOST} mail\n198.51.100.25 mx1.example.org\n"


def npm_install(package: str) -> Path:
    """`package` is NAME@VERSION; returns the folder that has node_modules."""
    place = NPM / package.replace("/", "+")
    if not (place / "node_modules").is_dir():
        place.mkdir(parents=True, exist_ok=True)
        (place / "package.json").write_text('{"private": true}\n')
        subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", package], cwd=place, check=True,
                       stdout=subprocess.DEVNULL)
    return place


class Tree:
    """`share` is a folder of this run (messages, senders), in the tree /record."""

    def __init__(self, name: str, share: Path):
        place = TREES / name
        self.root = place / "root"
        for folder in ("upper", "work", "root"):
            (place / folder).mkdir(parents=True, exist_ok=True)
        # Two mounts of the same layer would damage it, so another recording waits here. The lock ends with the process.
        self._lock = open(place / "lock", "w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._mount("-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={place / 'upper'},workdir={place / 'work'}", self.root)
        for folder in ("proc", "sys", "dev"):
            self._mount("--rbind", f"/{folder}", self.root / folder)
        for folder in ("run", "tmp"):
            self._mount("-t", "tmpfs", "-o", "mode=1777", "tmpfs", self.root / folder)
        (self.root / "record").mkdir(exist_ok=True)
        self._mount("--bind", share, self.root / "record")
        self._write("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)

    @staticmethod
    def _mount(*argv) -> None:
        subprocess.run(["mount", *map(str, argv)], check=True)

    def _write(self, name: str, text: str, mode: int = 0o644) -> None:
        file = self.root / name
        if file.is_symlink():
            file.unlink()
        file.write_text(text)
        file.chmod(mode)

    def install(self, packages: list[str]) -> None:
        """Debian packages that are not there yet, with the machine's name service; then the namespace's."""
        listing = subprocess.run(["chroot", self.root, "dpkg-query", "-W", "-f=${db:Status-Status} ${Package}\n", *packages],
                                 capture_output=True, text=True).stdout
        there = {line.split()[1] for line in listing.splitlines() if line.startswith("installed ")}
        if absent := [name for name in packages if name not in there]:
            for name in ("resolv.conf", "hosts"):
                shutil.copy(Path("/etc") / name, self.root / "etc" / name)
            # An interrupted installation is finished first.
            for command in (["dpkg", "--configure", "-a"], ["apt-get", "-q", "-y", "install", "--no-install-recommends", *absent]):
                done = subprocess.run(["chroot", self.root, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                      env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
                if done.returncode:
                    raise RuntimeError(f"{' '.join(command)} failed: {done.stdout[-300:].strip()}")
        self._write("etc/hosts", HOSTS)
        self._write("etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        self._write("etc/mailname", HOST + "\n")

    def command(self, space: Namespace, script: str) -> list[str]:
        """The command line that runs a shell script in here, with the view of the network that `space` has."""
        enter = f"hostname {HOST}\nexec chroot '{self.root}' env -i PATH={PATH} HOME=/root LC_ALL=C.UTF-8 bash -c \"$1\""
        return space.command("unshare", "--uts", "sh", "-ec", enter, "sh", script)

    def output(self, script: str) -> str:
        done = subprocess.run(["chroot", self.root, "bash", "-c", script], capture_output=True, text=True)
        return done.stdout.strip()
