"""The program from outside: `check`, wrong usage, and `run` with its children and signals.

    run_test.py SEGMILTER

Needs no rights and no Postfix: if it is root it becomes the user nobody. Uses its own ports and folders.
"""
import atexit
import ctypes
import errno
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

def copied(program):
    """The program in a folder that every user may enter. At an upgrade it starts itself again as another user, and a checkout may
    be in a folder that only root may enter."""
    folder = Path(tempfile.mkdtemp(prefix="segmilter-run-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    return Path(shutil.copy(Path(program).resolve(), folder))


PROGRAM = copied(sys.argv.pop(1))
# Under tests/coverage each process writes files.
SECCOMP = "seccomp = false" if os.environ.get("SEGMILTER_COVERAGE") else ""
ROOT = Path(__file__).resolve().parents[3]


def run(*arguments):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


def wait_until(condition, what, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.02)


def forbid_ipv6():
    """Makes socket(AF_INET6, …) fail with EAFNOSUPPORT in this process and its children."""
    number = {"x86_64": 41, "aarch64": 198}[os.uname().machine]
    def step(code, yes, no, value):
        return struct.pack("=HBBI", code, yes, no, value)
    load, equal, end = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K of linux/bpf_common.h
    program = b"".join((
        step(load, 0, 0, 0), step(equal, 0, 3, number),  # seccomp_data.nr
        step(load, 0, 0, 16), step(equal, 0, 1, socket.AF_INET6),  # its first argument
        step(end, 0, 0, 0x00050000 | errno.EAFNOSUPPORT),  # SECCOMP_RET_ERRNO
        step(end, 0, 0, 0x7fff0000)))  # SECCOMP_RET_ALLOW
    code = ctypes.create_string_buffer(program, len(program))
    rules = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, rules, 0, 0) != 0:  # PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP
        raise OSError(ctypes.get_errno(), "seccomp")


def memory(pid):
    """The writable memory of a process, part by part."""
    with open(f"/proc/{pid}/mem", "rb", 0) as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            if not rights.startswith("rw"):
                continue
            begin, end = (int(word, 16) for word in span.split("-"))
            if end - begin >= 1 << 30:
                continue  # the address sanitizer's shadow memory, terabytes that were never used
            file.seek(begin)
            try:
                yield file.read(end - begin)
            except OSError:
                pass  # not a page of its own


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Folder(unittest.TestCase):
    def setUp(self):
        self._folder = tempfile.TemporaryDirectory(prefix="segmilter-cli-")
        self.addCleanup(self._folder.cleanup)
        self.folder = Path(self._folder.name)
        self.folder.chmod(0o755)
        self.file = self.folder / "segmilter.toml"


class Evaluate(Folder):
    corpus = ROOT / "tests/data/corpus"

    def test_the_corpus_is_judged(self):
        code, out, err = run("evaluate", "--truth", self.corpus / "TRUTH.tsv", self.corpus)
        self.assertIn(code, (0, 1), err)
        self.assertIn("By link", out)

    def test_exit_codes(self):
        table = self.folder / "TRUTH.tsv"
        self.assertEqual(run("evaluate", self.folder)[0], 64)
        self.assertEqual(run("evaluate", "--truth", table, self.folder)[0], 66)
        table.write_text("file\tmessage\n")
        code, _, err = run("evaluate", "--truth", table, self.folder)
        self.assertEqual((code, err), (65, f"segmilter: {table}:1: sender: the column is missing\n"))
        self.file.write_text("nonsense = 1\n")
        self.assertEqual(run("evaluate", "-c", self.file, "--truth", table, self.folder)[0], 78)


ACCOUNT = {"user": "nobody", "group": "", "socket_group": ""}
# With an existing account and something to observe there is no warning.
GOOD = '[general]\nuser = "nobody"\n[filter]\nsocket_group = ""\n[wire]\nports = [25]\n'


class Check(Folder):
    def check(self, text, *more):
        self.file.write_text(text)
        return run("check", "-c", self.file, *more)

    def test_a_right_file_is_ok(self):
        self.assertEqual(self.check(GOOD), (0, f"{self.file}: ok\n", ""))

    def test_the_packaged_file_and_every_example_are_ok(self):
        files = [ROOT / "packaging/segmilter.toml", *sorted((ROOT / "examples").rglob("segmilter*.toml"))]
        keys = self.file.parent / "seal.keys"
        keys.write_text("2026a:" + "0f" * 32)
        keys.chmod(0o640)
        for file in files:
            # Keys and accounts that this machine may lack.
            text = file.read_text().replace("/etc/segmilter/seal.keys", str(keys))
            text = re.sub('(?m)^(user|group|socket_group) = "(segmilter|postfix)"', lambda found: f'{found[1]} = "{ACCOUNT[found[1]]}"', text)
            code, out, err = self.check(text)
            self.assertEqual((code, out), (0, f"{self.file}: ok\n"), (file, err))
            # The packaged file has settings that the administrator has to complete.
            self.assertEqual(bool(re.fullmatch("segmilter: warning: .*: both are empty: nothing is observed.*\n", err)),
                             file.parent.name == "packaging", err)
            self.assertEqual(err.count("\n"), int(file.parent.name == "packaging"), (file, err))

    def test_an_error_is_one_line_with_file_line_key_and_reason(self):
        self.assertEqual(self.check('[proxy]\nworkers = "2"\n'), (
            78, "", f"segmilter: {self.file}:2: proxy.workers: expected an integer, got a string\n"))

    def test_a_file_that_is_not_there_is_78(self):
        self.assertEqual(run("check", "-c", "/nonexistent/x.toml"), (
            78, "", "segmilter: /nonexistent/x.toml: cannot be read: No such file or directory\n"))

    def test_an_open_relay_is_refused_at_start_too(self):
        self.file.write_text('[proxy]\nlisten = ["127.0.0.1:25"]\nupstream_protocol = "none"\n')
        for command in ("check", "run", "proxy"):
            code, out, err = run(command, "-c", self.file)
            self.assertEqual((code, out), (78, ""))
            self.assertIn("open relay", err)
            self.assertEqual(err.count("\n"), 1)

    def test_print_gives_every_setting_and_can_be_read_again(self):
        code, printed, _ = self.check(GOOD + '[proxy]\nworkers = 3\n', "--print")
        self.assertEqual(code, 0)
        self.assertIn("\nworkers = 3\n", printed)
        self.assertEqual(self.check(printed, "--print"), (0, printed, ""))

    def test_what_is_seldom_meant_is_a_warning(self):
        code, _, err = self.check(GOOD + '[proxy]\nidle_timeout = "5s"\n')
        self.assertEqual(code, 0)
        self.assertIn("warning", err)


class Nft(Folder):
    @staticmethod
    def removal_of(routing):
        """What takes away what the lines `routing` set."""
        lines = [line for line in routing.splitlines(True) if " del " not in line]
        return "".join(lines).replace(" add ", " del ").replace(" replace ", " del ")

    def test_the_rules_are_those_of_the_configuration(self):
        self.file.write_text('[proxy]\nlisten = ["127.0.0.1:10024", "[::1]:10024"]\nupstream = "127.0.0.1:10025"\n'
                             "tproxy_ports = [25, 2525]\ntproxy_mark = 255\n")
        code, out, err = run("nft", "-c", self.file)
        self.assertEqual((code, err), (0, ""))
        self.assertIn("ipv4 tcp dport { 25, 2525 } tproxy ip to 127.0.0.1:10024 meta mark set 0xff accept\n", out)
        self.assertIn("ipv6 tcp dport { 25, 2525 } tproxy ip6 to [::1]:10024 meta mark set 0xff accept\n", out)
        code, out, err = run("nft", "--routing", "-c", self.file)
        self.assertIn("ip -6 rule add fwmark 0xff lookup ", out)
        code, removal, err = run("nft", "--routing", "--remove", "-c", self.file)
        self.assertEqual(removal, self.removal_of(out))
        code, out, err = run("nft", "--remove", "-c", self.file)
        self.assertEqual(out, "table inet segmilter\ndelete table inet segmilter\n")

    def test_answers_to_a_connection_from_the_clients_address_come_back(self):
        transparent = ('[proxy]\nlisten = ["127.0.0.1:10024", "[::1]:10024"]\nupstream = "127.0.0.1:25"\n'
                       'upstream_protocol = "transparent"\n')
        def rule(selects):
            line = f"{selects} lookup 29549 priority 29549"
            return f"ip -4 rule del {line} 2>/dev/null || true\nip -4 rule add {line}\n"
        def both(v4):
            return v4 + v4.replace("-4", "-6").replace("127.0.0.0/8", "::1/128").replace("0.0.0.0/0", "::/0")
        back = rule("from 127.0.0.0/8 iif lo")
        route = "ip -4 route replace local 0.0.0.0/0 dev lo table 29549\n"
        self.file.write_text(transparent)
        self.assertEqual(run("nft", "--routing", "-c", self.file), (0, both(back + route), ""))
        self.assertEqual(run("nft", "-c", self.file)[0], 78)  # no port is sent there
        self.file.write_text(transparent + "tproxy_ports = [25]\n")
        out = both(rule("fwmark 0x736d") + back + route)
        self.assertEqual(run("nft", "--routing", "-c", self.file), (0, out, ""))
        self.assertEqual(run("nft", "--routing", "--remove", "-c", self.file), (0, self.removal_of(out), ""))

    def test_where_there_is_nothing_to_do_it_says_so(self):
        self.file.write_text("")
        code, out, err = run("nft", "-c", self.file)
        self.assertEqual((code, out, err.count("\n")), (78, "", 1))
        self.assertIn("proxy.tproxy_ports", err)


class Doctor(Folder):
    """A system without Postfix and segmilter; tests/e2e/doctor.py has the rest."""

    def doctor(self, *more):
        self.file.write_text(f"""
            [proxy]
            listen = ["127.0.0.1:{free_port()}"]
            upstream = "127.0.0.1:9"
            [evidence]
            socket = "{self.folder}/evidence.sock"
            [filter]
            socket = "unix:{self.folder}/milter.sock"
            """)
        return run("doctor", "-c", self.file, "--postfix-config", self.folder, *more)

    def test_what_is_not_there_fails(self):
        code, out, err = self.doctor("--format", "json")
        self.assertEqual((code, err), (1, ""))
        report = json.loads(out)
        states = {finding["check"]: finding["state"] for finding in report["findings"]}
        for check in ("postconf", "listen", "upstream", "milter-socket", "evidence-socket"):
            self.assertEqual(states.get(check), "FAIL", out)
        self.assertEqual(states.get("same-port"), "skip", out)
        self.assertEqual(report["fail"], list(states.values()).count("FAIL"))

    def test_for_people_there_is_a_line_each(self):
        code, out, err = self.doctor()
        self.assertEqual((code, err), (1, ""))
        self.assertRegex(out, r"(?m)^FAIL  listen +no process listens there: clients are refused$")
        self.assertRegex(out, r"(?m)^        to fix it  systemctl restart segmilter$")
        self.assertNotIn("\033", out)

    def test_exit_codes(self):
        self.assertEqual(self.doctor("--format", "xml")[0], 64)
        self.file.write_text("[proxy]\nno_such_key = 1\n")
        self.assertEqual(run("doctor", "-c", self.file)[0], 78)


class Usage(unittest.TestCase):
    def test_help_teaches(self):
        for arguments in (["--help"], ["run", "--help"], ["check", "-h"]):
            code, out, err = run(*arguments)
            self.assertEqual((code, err), (0, ""))
            self.assertIn("Usage:", out)
        self.assertIn("segmilter doctor  ", run("--help")[1])

    def test_wrong_usage_is_64_and_one_line(self):
        for arguments in ([], ["fly"], ["check", "--fly"], ["check", "-c"], ["run", "check"]):
            code, out, err = run(*arguments)
            self.assertEqual((code, out), (64, ""), arguments)
            self.assertRegex(err, r"^segmilter: .*\n$")

    def test_version_names_the_libraries(self):
        for arguments in (["version"], ["-V"], ["--version"]):
            code, out, _ = run(*arguments)
            self.assertEqual(code, 0)
            self.assertRegex(out, r"^segmilter \d+\.\d+\.\d+\n")
            for library in ("libmilter", "libevent", "libbpf", "fmt"):
                self.assertIn(library, out)


class Run(Folder):
    def setUp(self):
        super().setUp()
        self.port = free_port()
        self.notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notices.bind(str(self.folder / "notify"))
        (self.folder / "notify").chmod(0o777)  # as systemd's: rights are dropped before it is used
        self.notices.settimeout(120)
        self.addCleanup(self.notices.close)
        self.process = None

    def write(self, proxy=True, upstream=9, more=""):
        listen = (f'listen = ["127.0.0.1:{self.port}"]\nupstream = "127.0.0.1:{upstream}"\n' if proxy else "")
        self.file.write_text(f"""
[general]
user = "nobody"
{SECCOMP}
[proxy]
{listen}workers = 1
drain_timeout = "20s"
[evidence]
socket = "{self.folder}/run/evidence.sock"
[filter]
socket = "unix:{self.folder}/milter/milter.sock"
socket_group = ""
[memory]
folder = "{self.folder}/memory"
min_free = 0
{more}""")
        if os.geteuid() != 0:  # as root it creates the folders itself
            for name in ("run", "milter", "memory"):
                (self.folder / name).mkdir(exist_ok=True)

    def start(self, environment=None, **settings):
        self.write(**settings)
        self.log = self.folder / "log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "run", "-c", self.file], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "NOTIFY_SOCKET": str(self.folder / "notify"), **(environment or {})})
        self.addCleanup(self.end)
        self.notice("READY=1", skipped="WATCHDOG=1")  # the watchdog hears of a slow start too

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def notice(self, wanted, skipped=None):
        """The next notification that is not `skipped`; it has to contain `wanted`."""
        text = skipped
        while text == skipped:
            try:
                text = self.notices.recv(4096).decode()
            except TimeoutError:
                text = "none"
        self.assertIn(wanted, text, self.log.read_text())
        return text

    def children(self):
        """The running children: {"proxy": pid, "filter": pid}."""
        found = {}
        for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            try:
                name = Path(f"/proc/{pid}/comm").read_text().strip()
                if ") Z " not in Path(f"/proc/{pid}/stat").read_text():
                    found[name.removeprefix("segm-")] = int(pid)
            except OSError:
                pass
        return found

    def wait_for(self, text, times=1):
        wait_until(lambda: self.log.read_text().count(text) >= times, f"{text!r} in\n{self.log.read_text()}")

    def finish(self, code=0):
        self.assertEqual(self.process.wait(30), code, self.log.read_text())

    def test_it_serves_and_ends_when_told(self):
        self.start()
        self.assertEqual(set(self.children()), {"proxy", "filter", "memory"})
        with socket.create_connection(("127.0.0.1", self.port), 10) as client:
            self.assertTrue(client.recv(100).startswith(b"421 "))  # no server listens at upstream
        self.process.send_signal(signal.SIGTERM)
        self.notice("STOPPING=1")
        self.finish()
        self.assertLess(self.log.read_text().index("proxy (pid"), self.log.read_text().index("filter (pid"))
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", self.port), 10)

    def test_no_right_is_left(self):
        self.start()
        for pid in (self.process.pid, *self.children().values()):
            status = Path(f"/proc/{pid}/status").read_text()
            self.assertRegex(status, r"NoNewPrivs:\s1")
            self.assertRegex(status, r"CapPrm:\s0+\n")
            self.assertNotRegex(status, r"Uid:\s0")

    def test_without_listen_there_is_only_a_filter(self):
        self.start(proxy=False)
        self.assertEqual(set(self.children()), {"filter", "memory"})

    def test_the_folder_of_the_store_is_for_the_account(self):
        self.start()
        folder = self.folder / "memory"
        self.assertEqual(folder.stat().st_mode & 0o777, 0o750 if os.geteuid() == 0 else folder.stat().st_mode & 0o777)
        self.wait_for(f"memory ready: {folder}")
        if os.geteuid() == 0:
            self.assertNotEqual(folder.stat().st_uid, 0)

    def test_without_a_folder_for_the_store_mail_is_served(self):
        self.write(more="")
        text = self.file.read_text().replace(f"{self.folder}/memory", f"{self.folder}/none/memory")
        write, self.write = self.write, lambda **_: self.file.write_text(text)
        self.start()
        self.write = write
        self.wait_for(f"read the folder {self.folder}/none/memory: No such file or directory")
        with socket.create_connection(("127.0.0.1", self.port), 10) as client:
            self.assertTrue(client.recv(100).startswith(b"421 "))

    def test_the_filter_alone_obeys_signals_as_the_other_processes_do(self):
        self.write()
        for number in (signal.SIGINT, signal.SIGTERM):
            alone = subprocess.Popen([PROGRAM, "filter", "-c", self.file], stderr=subprocess.PIPE, text=True)
            self.addCleanup(alone.kill)
            self.assertTrue(any("filter ready on " in line for line in alone.stderr))
            time.sleep(1)  # until the thread of libmilter, which waits for signals too, has begun to do so
            alone.send_signal(signal.SIGHUP)
            self.assertTrue(any("configuration reloaded" in line for line in alone.stderr))
            alone.send_signal(number)
            self.assertEqual(alone.wait(10), 0, number)
            alone.stderr.close()

    def test_a_filter_alone_that_is_told_to_end_while_it_starts_does_not_fail(self):
        self.write()
        for wait in (0, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16):
            # A shell starts background jobs with SIGINT ignored, and then a signal that comes before the filter's own
            # handling is lost.
            alone = subprocess.Popen([PROGRAM, "filter", "-c", self.file], stderr=subprocess.DEVNULL,
                                     preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
            self.addCleanup(alone.kill)
            time.sleep(wait)
            alone.send_signal(signal.SIGINT)
            self.assertIn(alone.wait(20), (0, -signal.SIGINT), wait)

    def test_the_memory_alone_ends_when_told(self):
        self.write()
        (self.folder / "memory").mkdir(exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.folder / "memory", "nobody")
        (self.folder / "memory" / "messages-20991231.db").touch()
        alone = subprocess.Popen([PROGRAM, "memory", "-c", self.file], stderr=subprocess.PIPE, text=True)
        self.addCleanup(alone.kill)
        ready = next((line for line in alone.stderr if "memory ready: " in line), "it ended")
        self.assertRegex(ready, r"memory ready: .*; it runs alone and receives no messages")
        ahead = next((line for line in alone.stderr if "is of a day in the future" in line), "it ended")
        self.assertIn("messages-20991231.db: is of a day in the future: the clock was wrong then, or is now.", ahead)
        alone.terminate()
        self.assertEqual(alone.wait(10), 0)
        alone.stderr.close()
        (self.folder / "memory" / "messages-20991231.db").unlink()
        self.assertEqual(run("forget", "-c", str(self.file), "192.0.2.7"), (
            0, "192.0.2.7: 0 messages forgotten, in 0 files\n", ""))
        requests = self.folder / "memory" / "forget.requests"
        requests.write_text("192.0.2.0/24\n" * 6000)
        code, said, why = run("forget", "-c", str(self.file), "192.0.2.7")
        self.assertEqual((code, said), (75, ""))
        self.assertIn(f"{requests}: is full of networks that wait to be forgotten. The messages of 192.0.2.7/32 are deleted", why)
        requests.unlink()
        self.assertEqual(run("forget", "-c", str(self.file), "mail.example.org"), (
            64, "", 'segmilter: "mail.example.org" is not an address or a network such as 192.0.2.0/24\n'))

    def test_a_child_that_dies_is_replaced_and_the_log_says_of_what(self):
        self.start()
        for name in ("proxy", "filter", "memory"):
            before = self.children()
            os.kill(before[name], signal.SIGKILL)
            wait_until(lambda: self.children().get(name, before[name]) != before[name], f"a new {name}")
            self.wait_for(f"{name} (pid {before[name]}) was killed by SIGKILL")
        with socket.create_connection(("127.0.0.1", self.port), 10) as client:
            self.assertTrue(client.recv(100).startswith(b"421 "))

    def test_while_there_is_no_proxy_clients_wait(self):
        self.start()
        proxy = self.children()["proxy"]
        os.kill(proxy, signal.SIGSTOP)
        with socket.create_connection(("127.0.0.1", self.port), 10) as client:
            os.kill(proxy, signal.SIGKILL)
            self.assertTrue(client.recv(100).startswith(b"421 "))  # from the next one

    def test_the_watchdog_hears_of_it_twice_in_its_time(self):
        began = time.monotonic()  # before the start, because those that have come since then may wait already
        self.start(environment={"WATCHDOG_USEC": "600000"})
        for _ in range(9):
            self.notice("WATCHDOG=1")
        self.assertGreater(time.monotonic() - began, 2.0)  # and not all the time
        os.kill(self.process.pid, signal.SIGSTOP)
        try:
            self.notices.settimeout(1)
            with self.assertRaises(TimeoutError):
                while True:
                    self.notices.recv(4096)
        finally:
            os.kill(self.process.pid, signal.SIGCONT)

    def test_a_reload_is_taken_or_refused_as_a_whole(self):
        self.start()
        before = self.children()
        self.write(more="[policy]\nreject = 3\n")  # below tempfail
        self.process.send_signal(signal.SIGHUP)
        self.notice("RELOADING=1")
        self.notice("READY=1")
        self.wait_for("reload refused, the old configuration stays")
        self.assertRegex(self.log.read_text(), r"segmilter\.toml:\d+: policy\.reject: 3 is below")
        self.write(more="[policy]\nreject = 30\n")
        self.process.send_signal(signal.SIGHUP)
        self.notice("RELOADING=1")
        self.wait_for("configuration reloaded")
        self.assertEqual(self.children(), before)

    def test_a_reload_says_once_what_needs_a_restart_and_that_stays(self):
        self.start()
        waiting = "capture.method has changed: it takes effect at the next start"
        self.write(more='[capture]\nmethod = "off"\n')
        self.process.send_signal(signal.SIGHUP)
        self.wait_for(waiting)
        self.wait_for("configuration reloaded")
        self.assertEqual(self.log.read_text().count(waiting), 1)
        self.write(more="")  # back to the running value: no change waits for a restart
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.log.read_text().count("configuration reloaded") == 2, "the second reload")
        self.assertEqual(self.log.read_text().count(waiting), 1)

    @unittest.skipIf(os.geteuid() != 0, "only root may look into the memory of a process that is not dumpable")
    def test_only_the_filter_and_the_supervisor_keep_the_keys_of_seals(self):
        key = os.urandom(32)
        keys = self.folder / "seal.keys"
        keys.write_text(f"2026a:{key.hex()}\n")
        shutil.chown(keys, "nobody")
        keys.chmod(0o600)
        self.start(more=f'[seal]\nkey_file = "{keys}"\nsign = true\n[desk]\nlisten = ["127.0.0.1:{free_port()}"]\n'
                        f'[policy]\npercent_key = "{key.hex()[:30]}-percent"\n')
        percent = f"{key.hex()[:30]}-percent".encode()

        def holders(wanted):
            return {name for name, pid in self.children().items() if any(wanted in part for part in memory(pid))}
        self.assertEqual(set(self.children()), {"proxy", "filter", "memory", "desk"})
        self.assertEqual(holders(key), {"filter"})
        self.assertEqual(holders(key.hex().encode()[31:]), set())  # the file's text
        # A reload, and a child that is started after it.
        self.write(more=self.file.read_text().split("min_free = 0\n")[1].replace(percent.decode(), "other-percent"))
        self.process.send_signal(signal.SIGHUP)
        self.wait_for("configuration reloaded")
        before = self.children()["proxy"]
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: self.children().get("proxy", before) != before, "a new proxy")
        with socket.create_connection(("127.0.0.1", self.port), 10) as client:
            self.assertTrue(client.recv(100).startswith(b"421 "))
        self.assertEqual(holders(key), {"filter"})

    def test_told_twice_it_ends_at_once(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            silent.settimeout(60)
            self.start(upstream=silent.getsockname()[1])
            with socket.create_connection(("127.0.0.1", self.port), 10):
                kept, _ = silent.accept()  # a session that is silent and stays open
                self.process.send_signal(signal.SIGTERM)
                self.wait_for("draining")
                with self.assertRaises(subprocess.TimeoutExpired):
                    self.process.wait(1)
                self.process.send_signal(signal.SIGTERM)
                self.assertEqual(self.process.wait(10), 0)
                kept.close()

    def test_an_address_that_is_taken_is_69(self):
        with socket.create_server(("127.0.0.1", self.port)):
            self.write()
            code, _, err = run("run", "-c", self.file)
        self.assertEqual(code, 69, err)
        self.assertIn(f"proxy.listen: bind 127.0.0.1:{self.port}: Address already in use", err)

    def second(self, change):
        """`run` with this configuration, changed, while the first one serves."""
        other = self.folder / "second.toml"
        other.write_text(change(self.file.read_text()))
        return run("run", "-c", other)

    def talks(self, name):
        """True if a process answers on the socket: the filter a negotiation, the proxy a question."""
        path, word = {"filter": ("milter/milter.sock", bytes.fromhex("0000000d4f00000006000001ff001fffff")),
                      "proxy": ("run/evidence.sock", b"get 192.0.2.7:1 after=0\n")}[name]
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            try:
                client.connect(str(self.folder / path))
                client.sendall(word)
                return len(client.recv(100)) > 4
            except (FileNotFoundError, ConnectionRefusedError):
                return False

    def test_a_second_one_takes_no_socket_from_the_first(self):
        self.start()
        elsewhere = (f"127.0.0.1:{self.port}", f"127.0.0.1:{free_port()}")
        for path, setting in (("run/evidence.sock", "evidence.socket"), ("milter/milter.sock", "filter.socket")):
            code, _, err = self.second(lambda text: text.replace(*elsewhere).replace(
                f"{self.folder}/{'milter/milter' if 'evidence' in path else 'run/evidence'}.sock", f"{self.folder}/second.sock"))
            self.assertEqual(code, 69, err)
            self.assertIn(f"{setting}: {self.folder}/{path}: another process listens there", err)
            self.assertIn("another segmilter runs", err)
        self.assertTrue(self.talks("proxy") and self.talks("filter"))
        self.assertNotIn("created again", self.log.read_text())

    def test_a_socket_whose_path_is_gone_is_bound_anew(self):
        self.start()
        before = self.children()
        for name, path, setting in (("proxy", "run/evidence.sock", "evidence.socket"),
                                    ("filter", "milter/milter.sock", "filter.socket")):
            (self.folder / path).unlink()
            self.wait_for(f"{setting}: {self.folder}/{path} was removed or replaced; it is created again")
            self.assertTrue(self.talks(name))
        self.assertEqual(self.children(), before)

    def test_a_socket_whose_path_is_another_ones_is_said_and_taken_back_when_that_is_gone(self):
        self.start()
        # A socket whose process answers, and one to which this test may not even connect (as root; then its path has to be removed).
        for name, path, mode in (("proxy", "run/evidence.sock", 0o666), ("filter", "milter/milter.sock", 0o600)):
            with socket.socket(socket.AF_UNIX) as thief:
                self.process.send_signal(signal.SIGSTOP)  # else it may be faster
                (self.folder / path).unlink()
                thief.bind(str(self.folder / path))
                (self.folder / path).chmod(mode)
                thief.listen()
                self.process.send_signal(signal.SIGCONT)
                self.wait_for(f"{path} no longer leads to this {name}")
                self.assertIn("another process listens there", self.log.read_text())
                self.assertEqual(os.stat(self.folder / path).st_uid, os.geteuid())
            if mode == 0o600:
                (self.folder / path).unlink()
            self.wait_for(f"{path} was removed or replaced; it is created again")
            self.assertTrue(self.talks(name))

    def without_ipv6(self, listen, desk=""):
        """A start of `run` on a kernel without IPv6 (ipv6.disable=1): socket() fails with EAFNOSUPPORT."""
        self.write(more=f'[desk]\nlisten = [{desk}]\n' if desk else "")
        self.file.write_text(re.sub("(?m)^listen = .*$", f"listen = [{listen}]", self.file.read_text(), count=1))
        self.log = self.folder / "log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([PROGRAM, "run", "-c", self.file], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, "NOTIFY_SOCKET": str(self.folder / "notify")}, preexec_fn=forbid_ipv6)
        self.addCleanup(self.end)

    def test_without_ipv6_the_other_address_is_served_and_handed_over(self):
        desk = free_port()
        self.without_ipv6(f'"127.0.0.1:{self.port}", "[::]:{self.port}"', f'"127.0.0.1:{desk}", "[::1]:{desk}"')
        self.notice("READY=1")
        self.wait_for(f"warning: proxy.listen: bind [::]:{self.port}: Address family not supported")
        self.wait_for(f"ready: proxy on 127.0.0.1:{self.port}; ")
        self.wait_for(f"warning: desk.listen: bind [::1]:{desk}: Address family not supported")
        self.process.send_signal(signal.SIGUSR2)
        self.wait_for(f"ready: proxy on 127.0.0.1:{self.port}; ", 2)
        with socket.create_connection(("127.0.0.1", self.port), 10) as client:
            self.assertTrue(client.recv(100).startswith(b"421 "))
        with socket.create_connection(("127.0.0.1", desk), 10) as client:
            client.sendall(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")
            self.assertIn(b" 200 ", client.recv(100))

    def test_without_ipv6_and_another_address_it_is_69(self):
        self.without_ipv6(f'"[::]:{self.port}"')
        self.assertEqual(self.process.wait(20), 69)
        self.assertRegex(self.log.read_text(), r"segmilter: proxy.listen: bind \[::\]:\d+: Address family not supported by protocol\n$")

    @unittest.skipIf(os.geteuid() != 0, "only root makes a network namespace")
    def test_with_ipv6_switched_off_its_addresses_are_left_out(self):
        self.write()
        self.log = self.folder / "log"
        self.file.write_text(re.sub("(?m)^listen = .*$", f'listen = ["[::1]:{self.port}", "[::]:{self.port + 1}", '
                                    f'"127.0.0.1:{self.port}"]', self.file.read_text(), count=1))
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "--net", "sh", "-ec", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; ip link set lo up; "
                 'exec "$0" run -c "$1"', PROGRAM, self.file], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "NOTIFY_SOCKET": str(self.folder / "notify")})
        self.addCleanup(self.end)
        self.notice("READY=1")
        self.wait_for(f"warning: proxy.listen: bind [::1]:{self.port}: Cannot assign requested address")
        self.wait_for(f"ready: proxy on [::]:{self.port + 1}, 127.0.0.1:{self.port}; ")

    def test_an_address_that_this_machine_does_not_have_is_69(self):
        self.write()
        self.file.write_text(self.file.read_text().replace(f'["127.0.0.1:{self.port}"]', f'["127.0.0.1:{self.port}", "192.0.2.99:{self.port}"]'))
        code, _, err = run("run", "-c", self.file)
        self.assertEqual(code, 69, err)
        self.assertIn(f"proxy.listen: bind 192.0.2.99:{self.port}: Cannot assign requested address", err)

    def test_a_child_that_cannot_begin_ends_the_program(self):
        self.write()
        (self.folder / "milter").mkdir(exist_ok=True)
        (self.folder / "milter").chmod(0o500 if os.geteuid() else 0o755)  # the folder belongs to root: the filter may not write there
        code, _, err = run("run", "-c", self.file)
        self.assertGreaterEqual(code, 64, err)
        self.assertRegex(err, r"filter \(pid \d+\) ended with status \d+ before it was ready")

    def test_a_socket_is_not_bound_over_another_file(self):
        self.write()
        (self.folder / "milter").mkdir(exist_ok=True)
        (self.folder / "milter/milter.sock").mkdir()
        code, _, err = run("run", "-c", self.file)
        self.assertEqual(code, 69, err)
        self.assertIn(f"filter.socket: {self.folder}/milter/milter.sock: it exists but is not a socket", err)

    @unittest.skipIf(os.geteuid() != 0, "only root becomes another user")
    def test_a_user_that_is_not_there_is_78(self):
        self.write()
        self.file.write_text(self.file.read_text().replace("nobody", "no-such-user"))
        code, _, err = run("run", "-c", self.file)
        self.assertEqual(code, 78, err)
        self.assertTrue(re.search('general.user: there is no user "no-such-user"', err), err)


if __name__ == "__main__":
    unittest.main(verbosity=2)
