"""A machine in a network namespace: systemd as process 1, its own root folder, Debian's Postfix with its units.

    Machine(space, root, build).start()    `root`: a folder for it; `build`: the build folder that is installed there

/usr is this machine's, read-only; /etc is a copy of what a mail server needs; /usr/local and /var are the machine's own. Of Debian's
units only the journal and Postfix's are there. Its processes are in cgroups below this process's, and end with process 1.
"""
import os
import shutil
import signal
import subprocess
from pathlib import Path

from .netns import Namespace
from .process import alive, children, end, wait_until

ETC = ("passwd", "group", "shadow", "nsswitch.conf", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "services",
       "protocols", "os-release", "debian_version", "ssl", "postfix", "iproute2", "login.defs")
UNITS = Path("/usr/lib/systemd/system")
KEPT = ("systemd-journald", "systemd-tmpfiles-setup.service")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
TARGET = "machine.target"

# Runs in new namespaces. The last line becomes process 1.
BOOT = """set -e
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
{usr}mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs dev
for name in {devices}; do touch dev/$name; mount --bind /dev/$name dev/$name; done
ln -s /proc/self/fd dev/fd
mkdir dev/shm dev/pts dev/mqueue
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
pivot_root . mnt
umount -l /mnt
exec env -i container=bed PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit={target} \
  --log-target=journal --show-status=0
"""
# /usr of this machine, read-only, with another /usr/local.
SHARED_USR = """mount --rbind /usr usr
mount -o remount,bind,ro usr
mount --bind local usr/local
"""


def cgroups(name: str) -> list[Path]:
    """Makes a cgroup of that name below this process's, in each hierarchy that permits it."""
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own[controllers] = path
    made = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, kind = line.partition(" - ")
        point, (fs, _, options) = Path(fields.split()[4]), kind.split()[:3]
        if fs not in ("cgroup", "cgroup2"):
            continue
        path = own.get("", "/") if fs == "cgroup2" else next((own[key] for key in own if key and key in options), "/")
        group = point / path.lstrip("/") / name
        try:
            group.mkdir()
        except OSError:
            continue
        made.append(group)
    return made


def enter(groups: list[Path]) -> None:
    for group in groups:
        try:
            (group / "cgroup.procs").write_text(str(os.getpid()))
        except OSError:
            pass  # cpuset needs a list of processors first, and is not needed here


class Machine:
    target, usr = TARGET, SHARED_USR  # what is booted; how /usr gets there

    def __init__(self, space: Namespace, root: Path, build: Path):
        self.space, self.root, self.build = space, root, build
        self._groups: list[Path] = []
        self._process: subprocess.Popen | None = None
        self.init = 0  # the pid of its process 1, seen from here
        self._furnish()

    def _furnish(self) -> None:
        for folder in ("usr", "local", "proc", "sys", "dev", "run", "tmp", "mnt", "root", "home", "etc/systemd/system",
                       "var/log/journal", "var/lib", "var/spool", "var/mail/vhosts", "var/tmp"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "var/mail/vhosts").chmod(0o777)
        (self.root / "home/secret").write_text("of a user\n")
        for name in ("bin", "sbin", "lib", "lib64"):
            (self.root / name).symlink_to(f"usr/{name}")
        (self.root / "var/run").symlink_to("/run")
        for name in ETC:
            source, target = Path("/etc") / name, self.root / "etc" / name
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True)
            elif source.exists():
                shutil.copy2(source, target)
        (self.root / "etc/machine-id").write_text("5e6d11735e6d11735e6d11735e6d1173\n")
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost\n")
        # No process listens there, so each look-up fails at once.
        (self.root / "etc/resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        (self.root / "etc/systemd/system" / TARGET).write_text("[Unit]\nRequires=basic.target\nAfter=basic.target\n")
        for unit in UNITS.glob("*.target.wants/*"):
            if not unit.name.startswith(KEPT):
                mask = self.root / "etc/systemd/system" / unit.name
                if not mask.exists():
                    mask.symlink_to("/dev/null")
        subprocess.run(["cmake", "--install", self.build], check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, "DESTDIR": str(self.root / "staging")})
        # What is installed below /usr/local, and what in /etc.
        for source, target in (("usr/local", "local"), ("etc", "etc")):
            shutil.copytree(self.root / "staging" / source, self.root / target, dirs_exist_ok=True, symlinks=True)
        shutil.rmtree(self.root / "staging")

    def start(self) -> None:
        self._groups = cgroups(f"segmilter-{os.getpid()}")
        boot = BOOT.format(devices=" ".join(DEVICES), target=self.target, usr=self.usr)
        self._process = subprocess.Popen(
            self.space.command("unshare", "--pid", "--mount", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child",
                               "/bin/sh", "-c", boot, "sh", self.root),
            stdin=subprocess.DEVNULL, stderr=open(self.root / "boot.log", "wb"), preexec_fn=lambda: enter(self._groups))
        wait_until(self._booted, 30, "systemd to be up")

    def _booted(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"the machine's process 1 ended with status {self._process.returncode}")
        found = children(self._process.pid)
        if not found or Path(f"/proc/{found[0]}/comm").read_text().strip() != "systemd":
            return False
        self.init = found[0]
        return self.run("systemctl", "is-active", "--quiet", self.target, check=False).returncode == 0

    def command(self, *argv) -> list[str]:
        return ["nsenter", "--target", str(self.init), "--all", "--", *map(str, argv)]

    def run(self, *argv, **options) -> subprocess.CompletedProcess:
        options = {"check": True, "capture_output": True, "text": True, "timeout": 90, **options}
        return subprocess.run(self.command(*argv), **options)

    def systemctl(self, *argv, check: bool = True) -> str:
        """The output of the command, or its error text."""
        done = self.run("systemctl", *argv, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(f"systemctl {' '.join(argv)}: {done.stderr}\n{self.journal()[-3000:]}")
        return (done.stdout + done.stderr).strip()

    def show(self, unit: str, key: str) -> str:
        return self.systemctl("show", "--value", "-p", key, unit)

    def journal(self, unit: str = "") -> str:
        return self.run("journalctl", "--no-pager", "-q", *(["-u", unit] if unit else [])).stdout

    def inside_of(self, pid: int, *argv, user: str = "") -> subprocess.CompletedProcess:
        """A command in the mounts of one of its processes (numbered as in there), as `user`."""
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--"] if user else []
        return self.run("nsenter", "--target", pid, "--mount", "--", *become, *argv, check=False)

    def stop(self) -> None:
        if self._process:
            if self.init and alive(self.init):
                os.kill(self.init, signal.SIGKILL)  # and with it, all in there
            end(self._process)
        for group in self._groups:
            folders = sorted((Path(path) for path, _, _ in os.walk(group)), key=lambda path: -len(path.parts))
            for folder in folders:
                wait_until(lambda: not (folder / "cgroup.procs").read_text(), 10, f"{folder} to be empty")
                folder.rmdir()


