#!/usr/bin/python3
"""`segmilter doctor` finds nothing in a system that is right, names each thing that is broken, and prints lines that fix it.

    doctor.py PROGRAM [WORD]        with WORD only the faults whose name contains it

First the doctor examines a Postfix and a segmilter as in examples/postfix/listen: it must find nothing, change no file and queue no
message. Then the test breaks one thing after the other. Each time the doctor has to name it, with the right state and exit code.
Then a shell runs exactly the lines that the doctor printed, and the doctor must find nothing again. Two kinds of lines are carried out
differently, because the bed has no systemd and no editor: `systemctl restart segmilter` starts the bed's segmilter, and a line
for segmilter.toml is written into that file, followed by a restart.
"""
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from bed import report
from bed.process import alive, children, end, title, wait_until
from bed.segmilter import overlay
from bed.testbed import Bed

UPSTREAM = "127.0.0.1:10025/inet"
OURS = "{ unix:segmilter/milter.sock, default_action=accept, connect_timeout=2s, command_timeout=5s }"
DEAD = "{ inet:127.0.0.1:11332, default_action=accept, connect_timeout=1s }"  # another milter, which is down


class Examination:
    """One run of the doctor."""

    def __init__(self, done: subprocess.CompletedProcess):
        self.code, self.error = done.returncode, done.stderr
        seen = json.loads(done.stdout) if done.stdout.startswith("{") else {"findings": [], "mend": []}
        self.findings, self.mend = seen["findings"], seen["mend"]

    def bad(self) -> list[dict]:
        return [finding for finding in self.findings if finding["state"] in ("warn", "FAIL")]

    def find(self, check: str, state: str, words: str) -> dict | None:
        return next((finding for finding in self.findings if finding["check"] == check and finding["state"] == state
                     and words in finding["found"]), None)


class Ward:
    """The bed, and ways to break and fix it."""

    def __init__(self, bed: Bed, checks: report.Checks):
        self.bed, self.checks = bed, checks
        self.main, self.master = (bed.postfix.conf / name for name in ("main.cf", "master.cf"))
        self.good = {path: path.read_text() for path in (self.main, self.master, bed.segmilter.config)}
        self.socket = bed.segmilter.queue / "segmilter/milter.sock"
        self.evidence = bed.segmilter.root / "evidence.sock"
        self.program = bed.segmilter.program
        self.played = {}  # lines that the bed cannot run, and what it does instead
        self.hidden = ()  # the prefix of the doctor's command line
        self.well = self.shape()

    def doctor(self, *options, prefix=()) -> subprocess.CompletedProcess:
        return self.bed.link.server.run(*prefix, self.bed.program, "doctor", "-c", self.bed.segmilter.config,
                                        "--postfix-config", self.bed.postfix.conf, *options,
                                        check=False, capture_output=True, text=True, timeout=180)

    def examine(self, **options) -> Examination:
        options.setdefault("prefix", self.hidden)
        return Examination(self.doctor("--format", "json", **options))

    # What breaks things.
    def postconf(self, *arguments: str) -> None:
        self.bed.link.server.run("postconf", "-c", self.bed.postfix.conf, *arguments)

    @contextmanager
    def fresh(self):
        """The code inside makes Postfix read its settings. A server that was idle may serve some more clients with the old settings, so
        this waits until none of the old servers is left."""
        def reloads() -> int:
            return self.bed.postfix.log().count(": reload -- version")
        before, servers = reloads(), children(self.bed.postfix.master_pid())
        servers = [pid for pid in servers if re.search("smtpd|postscreen", title(pid))]
        yield
        wait_until(lambda: reloads() > before, 10, "Postfix to read its settings")
        # Not killed: Postfix waits a minute before it starts a service whose server was killed at its first client.
        wait_until(lambda: not any(map(alive, servers)), 20, "Postfix's old servers to end")
        time.sleep(0.2)

    def reload(self) -> None:
        """As `postfix reload`, without its second of looking at folders."""
        with self.fresh():
            os.kill(self.bed.postfix.master_pid(), signal.SIGHUP)

    def main_cf(self, *lines: str) -> None:
        self.postconf("-e", *lines)
        self.reload()

    def master_cf(self, *edits: tuple[str, str]) -> None:
        for switch, value in edits:
            self.postconf(switch, value)
        self.reload()

    def settings(self, settings: dict, restart: bool = True) -> None:
        self.bed.segmilter.write(settings)
        if restart:
            self.restart()

    def restart(self) -> None:
        self.bed.segmilter.stop()
        self.bed.segmilter.start()

    # What fixes them.
    def carry_out(self, lines: list[str]) -> None:
        for line in lines:
            if line.startswith("segmilter.toml: "):
                self.write_setting(line.removeprefix("segmilter.toml: "))
                continue
            print("      $", line.replace(str(self.bed.root), "…"))
            if line in self.played:
                self.played.pop(line)()
            elif line.startswith("systemctl"):
                self.restart()
            elif line.endswith(" reload"):
                with self.fresh():
                    self.shell(line)
            else:
                self.shell(line)

    def shell(self, line: str) -> None:
        done = self.bed.link.server.run("/bin/sh", "-c", line, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{line}: {done.stderr}")
        if line.endswith(" start"):
            time.sleep(0.7)

    def write_setting(self, line: str) -> None:
        print("      segmilter.toml:", line)
        section, key, value = re.fullmatch(r"\[(\w+)\] (\w+) = (.+)", line).groups()
        config = self.bed.segmilter.config
        config.write_text(overlay(config.read_text(), {section: {key: json.loads(value)}}))
        self.restart()

    def shape(self) -> tuple:
        """What a fault may have done to the running segmilter."""
        process = self.bed.segmilter.process
        paths = [(path.stat().st_ino, path.stat().st_mode, path.stat().st_gid) if path.exists() else None
                 for path in (self.socket.parent, self.socket, self.evidence)]
        return process.pid if process.poll() is None else 0, paths, self.bed.segmilter.config.read_text()

    def reset(self) -> None:
        """Restores everything, whatever a fault has changed."""
        changed = self.shape() != self.well
        for path, text in self.good.items():
            aside = path.with_suffix(".new")  # by a rename, because an smtpd that starts now must not read half a file
            aside.write_text(text)
            aside.replace(path)
        if not alive(self.bed.postfix.master_pid()):
            self.bed.postfix.start()
        self.reload()
        if changed:
            self.socket.parent.chmod(0o2770)
            self.restart()
            self.well = self.shape()


def content(ward: Ward, what: str) -> bool:
    seen = ward.examine()
    wrong = [f'{finding["check"]}: {finding["found"]}' for finding in seen.bad()]
    holds = ward.checks.that(seen.findings and not wrong and seen.code == 0, f"{what}: no findings {' | '.join(wrong)}{seen.error}")
    if not holds:
        ward.bed.show_logs(40)
    return holds


def fault(ward: Ward, name: str, broken, wanted: list[tuple[str, str, str]], mend: bool = True, all_lines: bool = False) -> None:
    """`broken()` breaks something. The doctor has to find each of `wanted` (check, state, words). The lines of the first finding that
    has some must fix everything; with `all_lines`, all lines in the order in which the doctor prints them at its end."""
    if len(sys.argv) > 2 and sys.argv[2] not in name:
        return
    report.step(name)
    broken()
    began = time.monotonic()
    seen = ward.examine()
    took = time.monotonic() - began
    for check, state, words in wanted:
        found = seen.find(check, state, words)
        ward.checks.that(found, f"{name}: {check} {state}: {found['found'] if found else seen.bad()} ({took:.1f} s)")
    fails = any(state == "FAIL" for _, state, _ in wanted)
    others = "" if fails else [finding["found"] for finding in seen.findings if finding["state"] == "FAIL"]
    if not ward.checks.that(seen.code == (1 if fails else 0), f"{name}: exit {seen.code} {seen.error}{others}"):
        ward.bed.show_logs(40)
    named = [seen.find(*each) for each in wanted]
    cure = next((each for each in named if each and (each["mend"] or each["setting"])), None)
    if mend and all_lines:
        ward.checks.that(seen.mend, f"{name}: the lines that fix it are printed")
        ward.carry_out(seen.mend)
        content(ward, name)
    elif mend and ward.checks.that(cure, f"{name}: the lines that fix it are printed"):
        ward.carry_out(cure["mend"])
        if cure["setting"]:
            ward.write_setting(cure["setting"])
        content(ward, name)
    ward.reset()


@contextmanager
def stranger_on_25(ward: Ward):
    """Another server has port 25."""
    ward.bed.segmilter.stop()
    other = subprocess.Popen(ward.bed.link.server.command(
        "/usr/bin/python3", "-c", """
import socket
server = socket.create_server(("0.0.0.0", 25))
while True:
    client = server.accept()[0]
    client.sendall(b"421 not yours\\r\\n")
    client.close()
"""))
    try:
        wait_until(ward.bed.segmilter._listens, 10, "the stranger to listen")
        yield
    finally:
        end(other)


def look_at_good(ward: Ward) -> None:
    """The doctor finds nothing, is quick, and leaves only log lines."""
    bed = ward.bed
    before = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in ward.good}
    began = time.monotonic()
    plain = ward.doctor()
    print(re.sub(r"(?m)^", "  ", plain.stdout.replace(str(bed.root), "…")))
    ward.checks.that(plain.returncode == 0 and "\n24 ok, 0 warnings, 0 failed, 0 skipped" in plain.stdout,
                     f"all is well: exit {plain.returncode} in {time.monotonic() - began:.2f} s")
    ward.checks.that("\033" not in plain.stdout, "no colours, as it is no terminal")
    seen = ward.examine()
    looked_at = {finding["check"] for finding in seen.findings}
    ward.checks.that(len(looked_at) == 17, f"{len(looked_at)} checks: {sorted(looked_at)}")
    ward.checks.that(before == {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in ward.good},
                     "no configuration is changed")
    ward.checks.that(bed.postfix.queued() == 0 and "cleanup" not in bed.postfix.log(), "no message has come to Postfix")


def without_rights(ward: Ward) -> None:
    seen = ward.examine(prefix=("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"))
    skipped = {finding["check"] for finding in seen.findings if finding["state"] == "skip"}
    ward.checks.that(seen.code == 0 and {"listen", "milter-socket", "evidence-socket"} <= skipped | {"evidence-socket"},
                     f"without root: exit {seen.code}, could not tell {sorted(skipped)} {seen.error}{seen.bad()}")


def usage(ward: Ward) -> None:
    config = ward.bed.segmilter.config
    ward.checks.that(ward.doctor("--format", "xml").returncode == 64, "an unknown format: 64")
    config.write_text(config.read_text() + "\n[log]\nno_such_key = 1\n")
    done = ward.doctor()
    ward.checks.that(done.returncode == 78 and "no_such_key" in done.stderr, f"a wrong configuration: {done.returncode} {done.stderr.strip()}")
    config.write_text(ward.good[config])
    done = ward.bed.link.server.run(ward.bed.program, "doctor", "-c", config, "--postfix-config", "/nowhere", check=False,
                                    capture_output=True, text=True)
    ward.checks.that(done.returncode == 1 and "settings cannot be read" in done.stdout, "Postfix's folder is not there: exit 1")


def by_the_journal(ward: Ward) -> None:
    """If neither Postfix nor syslog has a log file, the doctor asks journalctl; here a script replaces it."""
    bed = ward.bed
    copy, tools = bed.root / "conf-without-log-file", bed.root / "bin"
    shutil.copytree(bed.postfix.conf, copy)
    bed.link.server.run("postconf", "-c", copy, "-X", "maillog_file")
    tools.mkdir()
    journal = tools / "journalctl"
    journal.write_text(f"""#!/bin/sh
case "$*" in *"-o cat"*"--since=@"*"_COMM=smtpd _COMM=postscreen") ;; *) exit 1 ;; esac
sed 's/^.*\\]: //' {bed.postfix.log_file}
""")
    journal.chmod(0o755)
    done = bed.link.server.run("env", f"PATH={tools}:{os.environ['PATH']}", bed.program, "doctor", "-c", bed.segmilter.config,
                               "--postfix-config", copy, "--format", "json", check=False, capture_output=True, text=True)
    found = Examination(done).find("same-port", "ok", "Postfix logs the client as 198.51.100.25:")
    ward.checks.that(found and "the journal" in found["found"], f"by the journal: {found and found['found']}")


def by_tcp(ward: Ward) -> None:
    """The filter on a TCP port: the doctor finds nothing, and reports it when it is stopped."""
    ward.settings({"filter": {"socket": "inet:8890@127.0.0.1"}}, restart=False)
    ward.main_cf("smtpd_milters = { inet:localhost:8890, default_action=accept, connect_timeout=2s, command_timeout=5s }")
    ward.restart()
    time.sleep(0.5)
    content(ward, "the filter on a TCP port")
    seen = ward.examine()
    ward.checks.that(seen.find("milter-socket", "ok", "127.0.0.1:8890"), "the filter answers on its port")
    ward.bed.segmilter.stop()
    found = ward.examine().find("milter-socket", "FAIL", "Connection refused")
    ward.checks.that(found and found["mend"] == ["systemctl restart segmilter"], f"the filter's port is closed: {found}")
    ward.reset()


def faults_of_sockets(ward: Ward) -> None:
    bed, socket_path = ward.bed, ward.socket

    def stop_filter() -> None:
        os.kill(bed.segmilter.child("filter"), signal.SIGSTOP)

    def wake_filter() -> None:
        os.kill(bed.segmilter.child("filter"), signal.SIGCONT)

    fault(ward, "segmilter is stopped", bed.segmilter.stop,
          [("listen", "FAIL", "no process listens"), ("milter-socket", "FAIL", "filter"),
           ("evidence-socket", "FAIL", "unobserved")])
    report.step("the filter hangs")
    stop_filter()
    try:
        seen = ward.examine()
    finally:
        wake_filter()
    found = seen.find("milter-socket", "FAIL", "hangs")
    ward.checks.that(found and seen.code == 1, f"the filter hangs: {found and found['found']}")
    content(ward, "the filter is awake again")
    fault(ward, "milter socket mode 0600", lambda: socket_path.chmod(0o600), [("milter-socket", "FAIL", "0600 postfix")])
    fault(ward, "milter socket of the wrong group", lambda: os.chown(socket_path, -1, 0), [("milter-socket", "FAIL", "0660 root")])
    fault(ward, "milter folder closed", lambda: socket_path.parent.chmod(0o700), [("milter-socket", "FAIL", "0700 postfix")])
    fault(ward, "milter socket configured 0600", lambda: ward.settings({"filter": {"socket_mode": "0600"}}),
          [("milter-socket", "FAIL", "0600 postfix")])
    report.step("evidence socket is gone")
    bed.segmilter.process.send_signal(signal.SIGSTOP)  # it would create another one
    try:
        ward.evidence.unlink()
        seen = ward.examine()
    finally:
        bed.segmilter.process.send_signal(signal.SIGCONT)
    found = seen.find("evidence-socket", "FAIL", "unobserved")
    ward.checks.that(found and seen.code == 1, f"evidence socket is gone: {found and found['found']}")
    wait_until(lambda: "created again" in bed.segmilter.log(), 10, "the supervisor to bind another socket")
    content(ward, "evidence socket is there again")
    fault(ward, "evidence socket mode 0000", lambda: ward.evidence.chmod(0), [("evidence-socket", "FAIL", "0000")])


def faults_of_milters(ward: Ward) -> None:
    def milters(value: str):
        return lambda: ward.main_cf(f"smtpd_milters = {value}")

    fault(ward, "smtpd_milters is empty", milters(""),
          [("smtpd_milters", "FAIL", "does not name"), ("same-port", "FAIL", "does not ask")])
    fault(ward, "segmilter is the second milter", milters(f"{DEAD}, {OURS}"), [("smtpd_milters", "warn", "comes after inet:127.0.0.1:11332")])
    # A milter that is down and has no default_action of its own stops all mail: Postfix's default is tempfail.
    fault(ward, "a dead milter in front", milters(f"inet:127.0.0.1:11332, {OURS}"),
          [("other-milters", "FAIL", "Postfix accepts no mail"), ("same-port", "FAIL", "the session is refused"),
           ("same-port", "FAIL", ": 451 ")], all_lines=True)
    fault(ward, "a dead milter behind, by a unix socket", milters(f"{OURS}, {{ unix:segmilter/nobody.sock, default_action=reject }}"),
          [("other-milters", "FAIL", "No such file"), ("same-port", "FAIL", "the session is refused")])
    fault(ward, "no default_action", milters("{ unix:segmilter/milter.sock, connect_timeout=2s, command_timeout=5s }"),
          [("smtpd_milters", "warn", "default_action is tempfail")])
    fault(ward, "a bare milter", milters("unix:segmilter/milter.sock"),
          [("smtpd_milters", "warn", "connect_timeout is 30s"), ("smtpd_milters", "warn", "command_timeout is 30s")])
    fault(ward, "milter_protocol 4", lambda: ward.main_cf("milter_protocol = 4"), [("smtpd_milters", "warn", "milter_protocol is 4")])
    fault(ward, "a service with milters of its own", lambda: ward.master_cf(("-P", f"{UPSTREAM}/smtpd_milters=inet:127.0.0.1:11332")),
          [("smtpd_milters", "FAIL", "does not name"), ("other-milters", "FAIL", "Postfix accepts no mail")], all_lines=True)

    back = "127.0.0.1:10026/inet"

    def before_queue() -> None:
        ward.postconf("-M", f"{back}=127.0.0.1:10026 inet n - n - - smtpd -o smtpd_milters=")
        ward.master_cf(("-P", f"{UPSTREAM}/smtpd_proxy_filter=127.0.0.1:10026"))

    def behind_queue() -> None:
        ward.postconf("-M", f"{back}=127.0.0.1:10026 inet n - n - - smtpd")
        ward.master_cf(("-P", f"{UPSTREAM}/content_filter=smtp:[127.0.0.1]:10026"))
    fault(ward, "a filter before the queue", before_queue, [("smtpd_milters", "FAIL", "shows milters no message")])
    fault(ward, "milters behind a content filter", behind_queue, [("smtpd_milters", "warn", "a second time")])

    def jail() -> None:
        ward.main_cf(f"smtpd_milters = {{ unix:{ward.socket}, default_action=accept, connect_timeout=2s, command_timeout=5s }}")
        ward.master_cf(("-F", f"{UPSTREAM}/chroot=y"))
    fault(ward, "a whole path in a chroot", jail, [("smtpd_milters", "FAIL", "in its chroot"), ("milter-socket", "FAIL", "chroot")])


def faults_of_postfix(ward: Ward) -> None:
    bed = ward.bed
    fault(ward, "Postfix is stopped", bed.postfix.stop, [("upstream", "FAIL", "refused")])
    fault(ward, "upstream does not expect PROXY", lambda: ward.master_cf(("-PX", f"{UPSTREAM}/smtpd_upstream_proxy_protocol")),
          [("upstream", "FAIL", "may relay"), ("proxy-protocol", "FAIL", "every client is 127.0.0.1"), ("upstream", "FAIL", "takes the PROXY header for SMTP")])

    def relay_by_v1() -> None:
        ward.settings({"proxy": {"upstream_protocol": "proxy-v1"}})
        ward.master_cf(("-PX", f"{UPSTREAM}/smtpd_upstream_proxy_protocol"))
    fault(ward, "the same with PROXY version 1", relay_by_v1,
          [("open-relay", "FAIL", "OPEN RELAY: 198.51.100.25 is not in mynetworks"), ("upstream", "FAIL", "takes the PROXY header for SMTP")])
    fault(ward, "upstream on all addresses", lambda: ward.master_cf(("-F", f"{UPSTREAM}/service=10025")),
          [("upstream-scope", "FAIL", "0.0.0.0:10025")])
    fault(ward, "no service for upstream", lambda: ward.master_cf(("-M#", UPSTREAM)), [("postconf", "FAIL", "no smtpd on 127.0.0.1:10025")])
    fault(ward, "PROXY for every smtpd", lambda: ward.main_cf("smtpd_upstream_proxy_protocol = haproxy"),
          [("proxy-protocol", "FAIL", "198.51.100.25:2525/inet has it too")])
    fault(ward, "mynetworks is the world", lambda: ward.main_cf("mynetworks = 127.0.0.0/8 [::1]/128 0.0.0.0/0"),
          [("mynetworks", "FAIL", "OPEN RELAY"), ("open-relay", "FAIL", "OPEN RELAY: a stranger, 203.0.113.77")])
    fault(ward, "everybody may relay", lambda: ward.main_cf(
        "smtpd_relay_restrictions = permit_mynetworks, check_client_access static:OK, reject_unauth_destination"),
          [("open-relay", "FAIL", "OPEN RELAY: a stranger, 203.0.113.77"), ("open-relay", "FAIL", "OPEN RELAY: 198.51.100.25")])
    fault(ward, "Postfix logs no ports", lambda: ward.main_cf("smtpd_client_port_logging = no"), [("same-port", "warn", "no port")])
    fault(ward, "one client may have all processes", lambda: ward.master_cf(("-F", f"{UPSTREAM}/process_limit=20")),
          [("limits", "warn", "one client can use all")])

    def first_word(v6: bool) -> bytes:
        with bed.connect(v6=v6) as client:
            return client.recv(100)[:3]

    def ipv4_only() -> None:
        ward.master_cf(("-P", f"{UPSTREAM}/inet_protocols=ipv4"))
        ward.checks.that(first_word(v6=True) == b"421", "Postfix speaks IPv4 only: a client by IPv6 is told 421")
    fault(ward, "Postfix speaks IPv4 only", ipv4_only,
          [("proxy-protocol", "FAIL", "each client that comes over IPv6")])

    def speaks(protocol: str, upstream: str) -> None:
        """Sets inet_protocols in main.cf, which Postfix reads at its start. Postfix does not start with services of another family, so all
        except `upstream` are removed."""
        ward.settings({"proxy": {"upstream": upstream}})
        bed.postfix.stop()
        for line in bed.link.server.run("postconf", "-c", bed.postfix.conf, "-M", capture_output=True, text=True).stdout.splitlines():
            service, kind = line.split()[:2]
            if kind == "inet":
                ward.postconf("-MX", f"{service}/inet")
        ward.postconf("-M", f"{upstream}/inet={upstream} inet n - n - - smtpd -o smtpd_upstream_proxy_protocol=haproxy")
        ward.postconf("-e", f"inet_protocols = {protocol}")
        bed.postfix.space.run("postfix", "-c", bed.postfix.conf, "start", check=False, capture_output=True)
        time.sleep(1)

    def told_421(protocol: str, upstream: str, v6: bool):
        speaks(protocol, upstream)
        ward.checks.that(first_word(v6=v6) == b"421", f"main.cf: {protocol}, upstream {upstream}: a client by IPv{6 if v6 else 4} is told 421")
    fault(ward, "main.cf: Postfix speaks IPv4 only", lambda: told_421("ipv4", "127.0.0.1:10025", v6=True),
          [("proxy-protocol", "FAIL", "each client that comes over IPv6")])
    fault(ward, "main.cf: Postfix speaks IPv6 only", lambda: told_421("ipv6", "[::1]:10025", v6=False),
          [("proxy-protocol", "FAIL", "each client that comes over IPv4")])
    fault(ward, "main.cf: upstream is of the other family", lambda: told_421("ipv4", "[::1]:10025", v6=True),
          [("proxy-protocol", "FAIL", "it does not start, or every client gets the reply 421"), ("upstream", "FAIL", "refused")])

    def port_is_gone() -> None:
        bed.segmilter.stop()
        ward.postconf("-M", "smtp/inet=smtp inet n - n - - smtpd")
        ward.reload()
    fault(ward, "Postfix has port 25, and segmilter is stopped", port_is_gone,
          [("listen", "FAIL", "master (pid"), ("ports", "FAIL", "both want port 25")], all_lines=True)
    fault(ward, "Postfix wants port 25 too", lambda: ward.postconf("-M", "smtp/inet=smtp inet n - n - - smtpd"),
          [("ports", "FAIL", "both want port 25")])


def faults_of_postscreen(ward: Ward) -> None:
    screen = (("-F", f"{UPSTREAM}/command=postscreen"), ("-F", f"{UPSTREAM}/process_limit=1"))
    through = ("-M", "smtpd/pass=smtpd pass - - n - - smtpd")
    told = ("-P", f"{UPSTREAM}/postscreen_upstream_proxy_protocol=haproxy")

    def short_wait() -> None:
        ward.postconf("-e", "postscreen_greet_wait = 1s")

    def deaf() -> None:
        short_wait()
        ward.master_cf(*screen, through)

    def no_pass() -> None:
        short_wait()
        ward.master_cf(*screen, told)

    def both() -> None:
        short_wait()
        ward.master_cf(*screen, told, ("-M", "smtpd/pass=smtpd pass - - n - - smtpd -o smtpd_upstream_proxy_protocol=haproxy"))
    fault(ward, "postscreen is not told of PROXY", deaf, [("proxy-protocol", "FAIL", "does not expect a PROXY header")])
    fault(ward, "postscreen without an smtpd behind it", no_pass,
          [("proxy-protocol", "FAIL", "no smtpd of type pass"), ("same-port", "FAIL", "421 ")])
    fault(ward, "smtpd behind postscreen expects PROXY", both, [("proxy-protocol", "warn", "ignored there")])


def faults_of_segmilter(ward: Ward) -> None:
    bed = ward.bed
    fault(ward, "idle_timeout is short", lambda: ward.settings({"proxy": {"idle_timeout": "100s"}}), [("timeouts", "warn", "hangs up before")])
    fault(ward, "answer_timeout is short", lambda: ward.settings({"proxy": {"answer_timeout": "100s"}}), [("timeouts", "warn", "arrives twice")])
    fault(ward, "capture is off", lambda: ward.settings({"capture": {"method": "off"}}),
          [("capture", "warn", "nothing is observed"), ("same-port", "warn", "capture is off")])
    fault(ward, "capture by reads", lambda: ward.settings({"capture": {"method": "read"}}), [("capture", "warn", "via=read")])

    desk = {"desk": {"listen": ["127.0.0.1:9125"]}}
    with bed.link.server.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 9125))
        other.listen()
        fault(ward, "another server has the desk's address", lambda: ward.settings(desk), [("desk", "warn", "and not segmilter")],
              mend=False)
    fault(ward, "the desk's address is new", lambda: ward.settings(desk, restart=False), [("desk", "warn", "no process listens there")])

    store = bed.segmilter.root / "memory"
    fault(ward, "the folder of the store is gone", lambda: shutil.rmtree(store), [("store", "warn", "the folder does not exist")])
    fault(ward, "the folder of the store is root's", lambda: shutil.chown(store, "root", "root"), [("store", "warn", "cannot write there")])
    fault(ward, "the store has a damaged file", lambda: (store / "messages-20261127.db.corrupt-1795780800").write_text("x"),
          [("store", "warn", "damaged and moved aside")])
    fault(ward, "the store's disk has little left", lambda: ward.settings({"memory": {"folder": str(store), "min_free": "1000000G"}}),
          [("store", "warn", "too little left")], mend=False)

    def without_bpf() -> None:
        wrapper = bed.root / "segmilter-without-bpf"
        wrapper.write_text(f'#!/bin/sh\nexec setpriv --bounding-set=-bpf,-sys_admin,-net_admin {ward.program} "$@"\n')
        wrapper.chmod(0o755)
        bed.segmilter.program = wrapper
        ward.restart()
        bed.segmilter.program = ward.program  # the next start has its rights again
    fault(ward, "started without CAP_BPF", without_bpf, [("capture", "warn", "the running segmilter is without it")])
    if len(sys.argv) == 2 or sys.argv[2] in "another server has port 25":
        report.step("another server has port 25")
        with stranger_on_25(ward):
            seen = ward.examine()
        found = seen.find("listen", "FAIL", "and not segmilter")
        ward.checks.that(found and seen.code == 1, f"another server has port 25: {found and found['found']}")
        ward.reset()


def behind(ward: Ward, before: str) -> tuple[str, ...]:
    """The prefix of a command line that runs `before` and then the command in a separate mount namespace."""
    tools = ward.bed.root / "tools"
    tools.mkdir(exist_ok=True)
    return ("unshare", "--mount", "env", f"PATH={tools}:{os.environ['PATH']}", "sh", "-ec", before + '\nexec "$@"', "sh")


def faults_at_boot(ward: Ward) -> None:
    """A script replaces systemctl; systemd_unit.py tests a real systemd."""
    ward.hidden = behind(ward, "mkdir -p /run/systemd; mount -t tmpfs none /run/systemd; mkdir /run/systemd/system")
    systemctl = ward.bed.root / "tools/systemctl"

    def state(word: str) -> None:
        systemctl.write_text(f"#!/bin/sh\n[ \"$*\" = 'is-enabled segmilter' ] || exit 2\necho {word}\n[ {word} = enabled ]\n")
        systemctl.chmod(0o755)
    state("enabled")
    seen = ward.examine()
    ward.checks.that(seen.find("boot", "ok", "at boot") and not seen.bad(), f"enabled: no findings {seen.bad()}")
    ward.played["systemctl enable segmilter"] = lambda: state("enabled")
    fault(ward, "segmilter is not enabled", lambda: state("disabled"), [("boot", "warn", "after the next boot clients are refused")])
    ward.hidden = ()


def with_tproxy(checks: report.Checks) -> None:
    report.step("way tproxy")
    with Bed(Path(sys.argv[1]), tag="doct", way="tproxy") as bed:
        ward = Ward(bed, checks)
        load = f"{bed.program} nft -c {bed.segmilter.config} | nft -f -"
        ward.shell(load)
        ward.shell(f"{bed.program} nft --routing -c {bed.segmilter.config} | sh -e")
        content(ward, "tproxy")
        # The line names the installed program, so the bed runs its own.
        ward.played[f"segmilter nft -c {bed.segmilter.config} | nft -f -"] = lambda: ward.shell(load)
        fault(ward, "tproxy: no rules", lambda: ward.shell("nft delete table inet segmilter"), [("tproxy", "FAIL", "no rule sends port 25")])
        nft = shutil.which("nft", path=os.environ["PATH"] + ":/usr/sbin:/sbin")

        def without_nft() -> None:
            ward.hidden = behind(ward, f"mount --bind /dev/null {nft}")

        def install() -> None:
            ward.hidden = ()
        ward.played["apt-get install nftables"] = install
        ward.played[f"segmilter nft -c {bed.segmilter.config} | nft -f -"] = lambda: ward.shell(load)
        fault(ward, "tproxy: nft is not installed", without_nft, [("tproxy", "FAIL", "Without nft no rule")], all_lines=True)


def observing_nothing(ward: Ward) -> None:
    def nothing() -> None:
        config = ward.bed.segmilter.config
        config.write_text(re.sub(r"(?m)^listen = .*\n", "", config.read_text(), count=1))
    if len(sys.argv) > 2 and sys.argv[2] not in "nothing is observed":
        return
    report.step("nothing is observed")
    nothing()
    seen = ward.examine()
    found = seen.find("configuration", "warn", "both are empty: nothing is observed")
    ward.checks.that(found and found["setting"] == "[wire] ports = [25]" and seen.mend[-1] == "systemctl restart segmilter",
                     f"nothing is observed: {found} {seen.mend}")
    ward.reset()


def on_the_wire(checks: report.Checks) -> None:
    report.step("way wire")
    with Bed(Path(sys.argv[1]), tag="docw", way="wire") as bed:
        ward = Ward(bed, checks)
        seen = ward.examine()
        knows = seen.find("same-port", "ok", "the observer knows the client as 198.51.100.25:")
        checks.that(knows and seen.code == 0 and not seen.bad(), f"wire: no findings {seen.bad()}")
        fault(ward, "wire: Postfix has no port 25", lambda: ward.master_cf(("-M#", "smtp/inet")), [("ports", "FAIL", "nothing to observe")])
        fault(ward, "wire: milters empty", lambda: ward.main_cf("smtpd_milters ="), [("smtpd_milters", "FAIL", "does not name")])


def main() -> int:
    checks = report.Checks()
    with Bed(Path(sys.argv[1]), tag="doc") as bed:
        ward = Ward(bed, checks)
        look_at_good(ward)
        without_rights(ward)
        usage(ward)
        by_the_journal(ward)
        by_tcp(ward)
        faults_of_sockets(ward)
        faults_of_milters(ward)
        faults_of_postfix(ward)
        faults_of_postscreen(ward)
        faults_of_segmilter(ward)
        faults_at_boot(ward)
        observing_nothing(ward)
        checks.that(bed.postfix.queued() == 0 and bed.postfix.mailbox("alice").count() == 0, "no message was sent by all this")
        if checks.failed:
            bed.show_logs()
    on_the_wire(checks)
    with_tproxy(checks)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
