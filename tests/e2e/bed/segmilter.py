"""One running segmilter: its configuration (the example's, with other paths), its processes, its log."""
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from .netns import Namespace
from .process import children, end, end_pids, need_alive, not_needed, title, wait_until
from .postfix import EXAMPLES

USER = "nobody"  # any account without rights; packages make one called segmilter


# In the line of the supervisor. The memory process has a line of its own, "memory ready: …".
READY = " info: ready: "


class Segmilter:
    """`settings` is TOML by section, laid over the example: {"policy": {"mode": "enforce"}}. `way`: the folder of
    the example; `wire` has the wire observer instead of the proxy. `files`: the files that /etc/segmilter has, by name."""

    def __init__(self, space: Namespace, program: Path, root: Path, queue: Path, settings=None, way: str = "listen",
                 files: dict[str, str] | None = None):
        self.observer = "wire" if way == "wire" else "proxy"
        self._example = EXAMPLES / way / "segmilter.toml"
        self._port = 10024 if way in ("tproxy", "transparent") else 25  # the port at which the observer or Postfix listens
        self.space, self.program, self.root, self.queue = space, program, root, queue
        self.config, self.log_file = root / "segmilter.toml", root / "segmilter.log"
        self.process: subprocess.Popen | None = None
        self._name = f"segmilter of {root}"
        root.mkdir(parents=True)
        shutil.chown(root, USER)
        sockets = queue / "segmilter"
        sockets.mkdir(parents=True, exist_ok=True)
        shutil.chown(sockets, USER, "postfix")
        sockets.chmod(0o2770)
        for name, text in (files or {}).items():
            self.put(name, text)
        self.write(settings)

    def put(self, name: str, text: str) -> None:
        """A file that segmilter may read and others may not."""
        path = self.root / name
        path.write_text(text)
        shutil.chown(path, USER)
        path.chmod(0o600)

    def write(self, settings=None) -> None:
        text = self._example.read_text()
        for old, new in {'"segmilter"': f'"{USER}"', "/run/segmilter": str(self.root),
                         "/var/spool/postfix": str(self.queue)}.items():
            if old not in text:
                raise RuntimeError(f"{self._example} no longer has {old}")
            text = text.replace(old, new)
        text = text.replace("/etc/segmilter", str(self.root))
        # On a busy machine a proxy may wait for the processor; it must not be taken for one that hangs.
        text = overlay(text, {"filter": {"evidence_timeout": "3s"},
                              "memory": {"folder": str(self.root / "memory"), "min_free": 0}})
        if os.environ.get("SEGMILTER_COVERAGE"):
            text = overlay(text, {"general": {"seccomp": False}})  # counts are written to files
        self.config.write_text(overlay(text, settings or {}))

    def start(self, log: Path | None = None, without: tuple[str, ...] = ()) -> None:
        """`log`: another place to write it to; `without`: capabilities that root does not have this time."""
        begin = len(self.log()) if log is None else None
        not_needed(self._name)
        bounds = ["setpriv", "--bounding-set", ",".join(f"-{name}" for name in without)] if without else []
        with open(log or self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                self.space.command(*bounds, self.program, "run", "-c", self.config),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until(lambda: self._ready() and (begin is None or re.search('[ "]ready: ', self.log()[begin:])), 20, "segmilter to be ready")
        except (TimeoutError, RuntimeError) as error:
            raise RuntimeError(f"{error}; its log:\n{self.log()[-3000:]}") from None
        need_alive(self._name, self._ended)

    def _ended(self) -> str:
        status = self.process.poll()
        return "" if status is None else f"ended with status {status}"

    def let_go(self) -> None:
        """From now on the end of the process is expected."""
        not_needed(self._name)

    def kill(self) -> None:
        """Kills the supervisor; its children notice that."""
        self.let_go()
        self.process.kill()
        self.process.wait()

    def _ready(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"segmilter ended with status {self.process.returncode}")
        return bool(self.child(self.observer) and self.child("filter") and self._listens() and self._filter_listens())

    def _filter_listens(self) -> bool:
        over_tcp = re.search(r'(?m)^socket = "inet:(\d+)', self.config.read_text())
        return self._listens(over_tcp[1]) if over_tcp else (self.queue / "segmilter/milter.sock").exists()

    def _listens(self, port: int | str | None = None) -> bool:
        listing = self.space.run("ss", "-Hltn", f"sport = :{port or self._port}", capture_output=True, text=True)
        return bool(listing.stdout.strip())

    def running(self) -> bool:
        return bool(self.process) and self.process.poll() is None

    def child(self, word: str) -> int:
        """The pid of the youngest child called `word` (proxy, filter); 0 when there is none now."""
        for pid in reversed(children(self.process.pid)):
            if re.search(rf"\b{word}\b", title(pid).replace(str(self.config), "")):
                return pid
        return 0

    def hang_up(self) -> None:
        """Sends HUP: the configuration is read again a moment later."""
        self.process.send_signal(signal.SIGHUP)

    def reload(self, settings=None) -> str:
        """Sends HUP (with `settings`: after writing a new file) and waits until the filter has read it, or the supervisor has refused it.
        Returns what was logged since."""
        begin = len(self.log())
        if settings is not None:
            self.write(settings)
        self.hang_up()
        wait_until(lambda: re.search("filter.*: configuration reloaded|reload refused", self.log()[begin:]), 10,
                   "the reload")
        return self.log()[begin:]

    def upgrade(self) -> None:
        """Sends USR2, and waits until another program serves under the same pid."""
        before = self.log().count(READY)
        self.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: self.log().count(READY) > before, 15, "the new program", every=0.005)

    def stop(self) -> int | None:
        """Sends TERM, and a second TERM ("stop at once") if open sessions delay the end."""
        self.let_go()
        if not self.process:
            return None
        family = children(self.process.pid)
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                pass
        status = end(self.process, 10)
        end_pids(family)
        return status

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""


def literal(value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def overlay(text: str, settings: dict) -> str:
    """Sets keys in TOML text line by line; a section or key that is not there is added."""
    for section, values in settings.items():
        if f"[{section}]" not in text:
            text = text.rstrip("\n") + f"\n\n[{section}]\n"
        head, mark, tail = text.partition(f"[{section}]\n")
        body, *rest = re.split(r"(?m)^(?=\[)", tail, maxsplit=1)
        for key, value in values.items():
            line = f"{key} = {literal(value)}"
            body, hits = re.subn(rf"(?m)^{re.escape(key)} *=.*$", lambda _: line, body)
            if not hits:
                body = line + "\n" + body
        text = head + mark + body + "".join(rest)
    return text
