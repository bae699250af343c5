"""Starts that fail: each says in one line what is wrong and what to do next, with the exit code of segmilter(8).

    bad_start_test.py SEGMILTER

If the test runs as root, starts that must not be root's run as the user nobody.
"""
import atexit
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

FOLDER = Path(tempfile.mkdtemp(prefix="segmilter-bad-start-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
FOLDER.chmod(0o755)
PROGRAM = Path(shutil.copy(Path(sys.argv.pop(1)).resolve(), FOLDER / "segmilter"))
SECCOMP = "seccomp = false" if os.environ.get("SEGMILTER_COVERAGE") else ""
ROOT = os.geteuid() == 0
AS_NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"] if ROOT else []


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def config(name, listen=None, user="nobody", evidence="", milter="", more=""):
    """A configuration that starts, except for the given fault; the folders of its sockets exist."""
    place = FOLDER / name
    place.mkdir(exist_ok=True)
    if ROOT:
        shutil.chown(place, "nobody")
    listen = f"127.0.0.1:{free_port()}" if listen is None else listen
    proxy = f'listen = ["{listen}"]\nupstream = "127.0.0.1:9"\n' if listen else ""
    return f"""[general]
user = "{user}"
{SECCOMP}
[proxy]
{proxy}workers = 1
[evidence]
socket = "{evidence or place / 'evidence.sock'}"
[filter]
socket = "{milter or f'unix:{place}/milter.sock'}"
socket_group = ""
[memory]
folder = "{place}/memory"
{more}"""


def start(text, command="run", prefix=()):
    file = FOLDER / "segmilter.toml"
    file.write_text(text)
    return subprocess.run([*prefix, PROGRAM, command, "-c", file], capture_output=True, text=True, timeout=60)


class BadStart(unittest.TestCase):
    def says(self, done, code, *words):
        """Checks the exit code, and that the program printed one line that has all of `words`."""
        self.assertEqual((done.returncode, done.stdout), (code, ""), done.stderr)
        errors = [line for line in done.stderr.splitlines() if line.startswith("segmilter: ") and " warning: " not in line]
        self.assertEqual(len(errors), 1, done.stderr)
        for word in words:
            self.assertIn(word, errors[0])

    def test_no_way_back_from_postfix(self):
        """Way `transparent` without its routing rules, and without the right to open its sockets."""
        text = config("transparent").replace("[proxy]\n", '[proxy]\nupstream_protocol = "transparent"\n')
        if ROOT:  # in a network of its own, which has no such rule
            done = start(text, prefix=["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"])
            self.says(done, 69, 'proxy.upstream_protocol "transparent"', "does not come back to this machine",
                      "segmilter nft --routing | sh -e")
        self.says(start(text, prefix=AS_NOBODY), 77, 'proxy.upstream_protocol "transparent"', "CAP_NET_ADMIN")

    def test_text_without_quotes(self):
        rows = (
            ("[general]\nuser = nobody\n", 2, 'user = "nobody"'),
            ("[proxy]\nlisten = [0.0.0.0:25, [::]:25]\n", 2, None),
            ("[proxy]\nlisten = [0.0.0.0:25]\n", 2, 'listen = ["0.0.0.0:25"]'),
            ("[proxy]\nupstream = 127.0.0.1:10025\n", 2, 'upstream = "127.0.0.1:10025"'),
            ("[proxy]\nidle_timeout = 330s  # long\n", 2, 'idle_timeout = "330s"'),
            ("[filter]\nsocket_mode = 0660\n", 2, 'socket_mode = "0660"'),
            ('\n[filter]\nsocket = unix:/run/a.sock\n', 3, 'socket = "unix:/run/a.sock"'),
            ('[policy]\nmode = "enforce\n', 2, 'mode = "enforce"'),
            ("[policy]\nmode = ‘enforce’\n", 2, None),
            ("[policy\nreject = 9\n", 1, "[policy]"),
        )
        for command in ("check", "run"):
            for text, line, better in rows:
                with self.subTest(text=text):
                    done = start(text, command)
                    self.says(done, 78, f"segmilter.toml:{line}: not TOML: ")
                    if better:
                        self.assertIn(f"write {better}", done.stderr)

    def test_a_threshold_below_a_milder_one(self):
        self.says(start("[policy]\nreject = 3\n", "check"), 78, "policy.reject: 3 is below policy.", "the default", '= "off"')
        self.says(start("[policy]\ntempfail = 4.5\nquarantine = 4\n", "check"), 78, "policy.quarantine: 4 is below policy.tempfail (4.5)",
                  'tempfail = "off"')
        self.assertEqual(start('[policy]\ntempfail = "off"\nquarantine = "off"\nreject = 3\n[wire]\nports = [25]\n[general]\nuser = "nobody"\n'
                               '[filter]\nsocket_group = ""\n', "check").returncode, 0)

    def test_an_address_that_somebody_has(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            here = f"by {Path(os.readlink('/proc/self/exe')).name}, pid {os.getpid()}"
            self.says(start(config("taken", f"127.0.0.1:{port}")), 69, f"proxy.listen: bind 127.0.0.1:{port}: Address already in use",
                      here, "set another address in proxy.listen")
            self.says(start(config("taken", f"0.0.0.0:{port}")), 69, here)
            self.says(start(config("taken", milter=f"inet:{port}@127.0.0.1")), 69, f"filter.socket: bind 127.0.0.1:{port}: Address already",
                      here, "set another address in filter.socket")
            self.says(start(config("taken", milter=f"inet:{port}@127.0.0.1"), "filter"), 69, here)
            if ROOT:  # the user nobody may not see which program it is
                self.says(start(config("taken", f"127.0.0.1:{port}"), prefix=AS_NOBODY), 69, f"`ss -ltnp 'sport = :{port}'`")

    def test_a_port_that_takes_a_right(self):
        low = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text().strip()
        if int(low) <= 25:
            return  # in this namespace every user may have port 25
        self.says(start(config("low", "127.0.0.1:25"), prefix=AS_NOBODY), 77, "proxy.listen: bind 127.0.0.1:25: Permission denied",
                  "CAP_NET_BIND_SERVICE", "systemctl start segmilter", "as root")

    def test_the_wire_observer_without_its_rights(self):
        text = config("wire", "", more="[wire]\nports = [25]\n")
        self.says(start(text, prefix=AS_NOBODY), 77, "wire.ports: ", "CAP_NET_RAW", "systemctl start segmilter")
        self.says(start(text, "wire", prefix=AS_NOBODY), 77, "CAP_BPF")

    def test_a_kernel_filter_that_must_be_had(self):
        text = config("kernel", more='[capture]\nmethod = "kernel"\n')
        self.says(start(text, prefix=AS_NOBODY), 69, 'capture.method "kernel": ', "CAP_BPF")

    def test_a_socket_without_its_folder(self):
        gone = FOLDER / "gone/deep"
        self.says(start(config("folder", evidence=gone / "e.sock"), prefix=AS_NOBODY), 71, f"evidence.socket: the folder {gone}",
                  f"install -d -o nobody -g nobody -m 755 {gone}")
        self.says(start(config("folder", milter=f"unix:{gone}/m.sock"), prefix=AS_NOBODY), 71, f"filter.socket: the folder {gone}",
                  f"install -d -o nobody -g nobody -m 2750 {gone}")
        packaged = config("folder", user="segmilter", milter="unix:/var/spool/postfix/segmilter/milter.sock")
        if not Path("/var/spool/postfix/segmilter").exists():
            self.says(start(packaged, prefix=AS_NOBODY), 71, "systemd-tmpfiles --create segmilter.conf")
        if ROOT:
            self.says(start(config("folder", evidence=gone / "e.sock")), 71, f"create the folder {gone}", f"create {gone.parent} first")

    @unittest.skipIf(not ROOT, "only root closes a folder to others")
    def test_a_socket_whose_folder_is_closed(self):
        closed = FOLDER / "closed"
        closed.mkdir(mode=0o755)
        self.says(start(config("folder", evidence=closed / "e.sock"), prefix=AS_NOBODY), 77, f"evidence.socket: the folder {closed}: Permission",
                  f"install -d -o nobody -g nobody -m 755 {closed}")

    def test_a_user_or_group_that_is_not_there(self):
        text = config("user", user="no-such-user")
        group = config("user").replace('socket_group = ""', 'socket_group = "no-such-group"')
        for command in ("check", "run"):
            if ROOT:
                self.says(start(text, command), 78, 'general.user: there is no user "no-such-user"', "adduser --system --group no-such-user")
                self.says(start(group, command), 78, 'filter.socket_group: there is no group "no-such-group"', "addgroup --system")
        done = start(text, "check", AS_NOBODY)  # a user that is not root keeps its account
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, 'warning: .*general.user: there is no user "no-such-user"')

    def test_nothing_observed_is_a_warning(self):
        done = start(config("unobserved", ""), "check")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"warning: .*proxy.listen and wire.ports: both are empty.*wire.ports = \[25\]")
        done = start(config("unobserved", more='[capture]\nmethod = "off"\n'), "check")
        self.assertRegex(done.stderr, r'warning: .*capture.method: "off": nothing is observed.*method = "auto"')
        for command, warned in (("run", True), ("filter", False)):
            done = start(config("unobserved", ""), command, ["timeout", "--preserve-status", "-s", "INT", "2"])
            self.assertEqual(bool(re.search("both are empty: nothing is observed", done.stderr)), warned, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
