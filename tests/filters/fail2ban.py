"""fail2ban with examples/filters/fail2ban: its filter on each form of the log, and a server that bans with nftables.

The server reads the journal, as the example says, and then a file of syslog. systemd-journal-remote makes the journal file of
segmilter's own lines.
"""
import re
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from bed import report
from bed.link import CLIENT4, CLIENT6, SERVER4
from bed.postfix import EXAMPLES
from bed.process import end, wait_until
from bed.testbed import Bed
from samples import Sample, message, send_whole

FILES = EXAMPLES.parent / "filters/fail2ban"
JOURNAL = "/lib/systemd/systemd-journal-remote"
NEEDS = ("fail2ban-server", "fail2ban-client", "fail2ban-regex", JOURNAL, "nft")
VERDICT = "pattern=bot-template writer=template path=full score=3.9 confidence=0.98 action=none gait=unknown"
ID = "6B921A7C543"


def lines() -> list[tuple[str, str, bool]]:
    """Name, the part of a line after the process, and whether fail2ban must count it."""
    def event(client: str, helo: str, rest: str, what: str = "message") -> str:
        return f"{ID}: {what} client={client} helo={helo} {rest}"
    four = "192.0.2.7:40112"
    inside = VERDICT
    return [
        ("a bot", event(four, "talk.example", VERDICT), True),
        ("a bot over IPv6", event("[2001:db8:1::7]:40112", "talk.example", VERDICT), True),
        ("a name in quotes", event(four, '"a \\"b\\" c"', VERDICT), True),
        ("a name that holds a verdict", event(four, f'"x {inside} "', "pattern=official-mta writer=stream path=full score=-1.0 confidence=0.97 a"), False),
        ("a name that holds a line", event(four, f'"x\\" {ID}: message client=198.51.100.9:1 helo=y {inside} "',
                                           "pattern=relay writer=stream path=full score=0.3 confidence=0.97 a"), False),
        ("another pattern", event(four, "a.example", VERDICT.replace("bot-template", "line-writer")), False),
        ("a low score", event(four, "a.example", VERDICT.replace("3.9", "2.9")), False),
        ("a negative score", event(four, "a.example", VERDICT.replace("3.9", "-3.9")), False),
        ("low confidence", event(four, "a.example", VERDICT.replace("0.98", "0.89")), False),
        ("a user who logged in", event(four, "a.example", "exempt=authenticated"), False),
        ("an unknown client", event("unknown", "a.example", VERDICT), False),
        ("another event", event(four, "a.example", VERDICT, "trace"), False),
    ]


def forms(text: str) -> dict[str, str]:
    """The same line in each form in which fail2ban may read it."""
    own = f"2026-11-27T12:00:00.668Z segmilter/filter[9078] info: {text}"
    return {"syslog": f"Nov 27 12:00:00 mx1 segmilter/filter[9078]: {text}",
            "syslog with a time zone": f"2026-11-27T12:00:00.668123+00:00 mx1 segmilter/filter[9078]: {text}",
            "journal, in a file": f"Nov 27 12:00:00 mx1 segmilter[9065]: {own}",
            "standard error": own}


def matches(conf: Path, line: str) -> list[str]:
    """The addresses that fail2ban-regex finds in one line."""
    done = subprocess.run(["fail2ban-regex", "-c", conf, "-o", "ip", line, conf / "filter.d/segmilter.conf"], capture_output=True, text=True)
    if "ERROR" in done.stderr or done.returncode not in (0, 1):
        raise RuntimeError(f"fail2ban-regex: {done.stderr}")
    return done.stdout.split()


def check_lines(checks: report.Checks, conf: Path) -> None:
    for name, text, counts in lines():
        client = re.search(r"client=\[?(.*?)\]?:\d+ ", text)
        wanted = [client[1]] if counts else []
        wrong = {form: found for form, line in forms(text).items() if (found := matches(conf, line)) != wanted}
        checks.that(not wrong, f"{name}: {wanted or 'nothing'} in each form {wrong or ''}")
    other = f"Nov 27 12:00:00 mx1 postfix/smtpd[7]: NOQUEUE: reject: helo=<x segmilter/filter[1]: {lines()[0][1]} >"
    checks.that(matches(conf, other) == [], "a name in a line of Postfix that looks like a line of segmilter: nothing")


def configure(root: Path) -> Path:
    """A folder of configuration: Debian's actions, and the example."""
    conf = root / "conf"
    for name in ("action.d", "filter.d", "fail2ban.d"):
        shutil.copytree(f"/etc/fail2ban/{name}", conf / name)
    for name in ("fail2ban.conf", "jail.conf", "paths-common.conf", "paths-debian.conf"):
        shutil.copy(f"/etc/fail2ban/{name}", conf)
    shutil.copytree(FILES, conf, dirs_exist_ok=True)
    return conf


def journal(path: Path, records: list[str]) -> None:
    """Writes a journal file with these lines, as systemd's journal has them of a unit."""
    now = time.time_ns() // 1000
    text = "".join(f"__REALTIME_TIMESTAMP={now + number}\n__MONOTONIC_TIMESTAMP={now + number}\n_BOOT_ID={'1' * 32}\n_MACHINE_ID={'2' * 32}\n"
                   f"_HOSTNAME=mx1\n_PID=9065\n_SYSTEMD_UNIT=segmilter.service\nSYSLOG_IDENTIFIER=segmilter\nPRIORITY=6\nMESSAGE={line}\n\n"
                   for number, line in enumerate(records))
    subprocess.run([JOURNAL, "-o", path, "-"], input=text.encode(), check=True, capture_output=True)


@contextmanager
def server(bed: Bed, root: Path, conf: Path):
    """fail2ban-server in the server's namespace. It gives the function that asks it."""
    files = ["-c", conf, "-s", root / "socket", "-p", root / "pid"]
    with open(root / "output", "wb") as log:
        process = subprocess.Popen(bed.link.server.command("fail2ban-server", "-f", *files, "start"), stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log)

    def ask(*words: str) -> str:
        return bed.link.server.run("fail2ban-client", *files, *words, capture_output=True, text=True, check=False).stdout
    try:
        wait_until(lambda: "pong" in ask("ping") or process.poll() is not None, 20, "fail2ban")
        if process.poll() is not None:
            raise RuntimeError(f"fail2ban-server ended: {(root / 'output').read_text()[-1500:]}")
        yield ask
    finally:
        ask("stop")
        end(process, 10)


def by_journal(root: Path, messages: list[str]) -> str:
    """The jail's lines for a journal file that has these messages."""
    path = root / "journal/system.journal"
    path.parent.mkdir()
    journal(path, messages)
    return f"backend = systemd[journalfiles={path}]"


def by_syslog(root: Path, messages: list[str]) -> str:
    """The jail's lines for a log file of syslog."""
    path = root / "mail.log"
    stamp = time.strftime("%b %d %H:%M:%S")
    path.write_text("".join(f"{stamp} mx1 segmilter/filter[9078]: {line.partition(' info: ')[2]}\n" for line in messages))
    return f"backend = auto\nlogpath = {path}"


def check_ban(checks: report.Checks, bed: Bed, root: Path, conf: Path, logged: list[str], form) -> None:
    bot = next(line for line in logged if "pattern=bot-template" in line)
    others = [line for line in logged if "pattern=official-mta" in line]
    # The tenth message of the first address is one too many; the second address has nine.
    six = bot.replace(f"client={CLIENT4}:", f"client=[{CLIENT6}]:")
    lines_of_jail = form(root, [bot] * 10 + [six] * 9 + others * 20)
    changed, hits = re.subn(r"(?m)^backend .*$", lambda _: lines_of_jail, (FILES / "jail.d/segmilter.conf").read_text())
    if hits != 1:
        raise RuntimeError("the example's jail has no backend")
    (conf / "jail.d/segmilter.conf").write_text(changed)
    (conf / "fail2ban.local").write_text(f"[Definition]\nlogtarget = STDOUT\ndbfile = {root}/{form.__name__}.sqlite3\n")
    with server(bed, root, conf) as ask:
        wait_until(lambda: CLIENT4 in ask("status", "segmilter"), 20, "the ban")
        banned = re.search(r"Banned IP list:\s*(.*)", ask("status", "segmilter"))[1].split()
        checks.that(banned == [CLIENT4], f"{form.__name__}: ten messages of a bot: {banned} is banned; nine, and twenty of a Postfix, are not")
        rules = bed.link.server.run("nft", "list", "ruleset", capture_output=True, text=True).stdout
        checks.that(CLIENT4 in rules and "dport 25" in rules, "the address is in a set of nftables")
        checks.that(not bed.link.client.connects(SERVER4, 25, 3), "a banned client cannot connect")
    checks.that(bed.link.client.connects(SERVER4, 25, 3), "after the server's end it can")


def check_json(checks: report.Checks, bed: Bed, conf: Path) -> None:
    """log.format = "json": the lines of the running program."""
    bed.segmilter.stop()
    begin = len(bed.segmilter.log())
    bed.segmilter.write({"log": {"format": "json"}})
    bed.segmilter.start()
    bed.talk("bot2", "json")
    send_whole(bed, message(9400))
    written = wait_until(lambda: lines if len(lines := [line for line in bed.segmilter.log()[begin:].splitlines() if '"event":"message"' in line]) > 1
                         else None, 10, "two lines")
    found = [matches(conf, line) for line in written]
    checks.that(found == [[CLIENT4], []], f"JSON, of the running program: a bot and a message at once: {found}")
    prefixed = [matches(conf, f"Nov 27 12:00:00 mx1 segmilter[9065]: {line}") for line in written]
    checks.that(prefixed == [[CLIENT4], []], f"the same from the journal, in a file: {prefixed}")
    forged = written[1].replace('"helo":"client.example"', '"helo":"x\\",\\"pattern\\":\\"bot-template\\",\\"score\\":3.9"')
    checks.that(forged != written[1] and matches(conf, forged) == [], "JSON: a name that holds a verdict: nothing")
    bed.segmilter.stop()
    bed.segmilter.write()
    bed.segmilter.start()


def check(checks: report.Checks, bed: Bed, _samples: list[Sample]) -> None:
    root = bed.root / "fail2ban"
    root.mkdir()
    conf = configure(root)
    check_lines(checks, conf)
    logged = [line for line in bed.segmilter.log().splitlines() if ": message client=" in line]
    for form in (by_journal, by_syslog):
        check_ban(checks, bed, root, conf, logged, form)
    check_json(checks, bed, conf)
