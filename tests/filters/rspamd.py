"""rspamd with the files of examples/filters/rspamd: as a scanner of each sample, and as a milter after segmilter."""
import json
import re
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

from bed import report
from bed.postfix import EXAMPLES
from bed.process import end, wait_until
from bed.testbed import Bed
from samples import Sample, delivered, field, message, run, send_by_user, send_whole

FILES = EXAMPLES.parent / "filters/rspamd"
NEEDS = ("rspamd", "rspamc")
# The namespace has no name server: one attempt, and no modules that would ask for lists.
OFFLINE = {"options.inc": 'dns { nameserver = ["127.0.0.1:5353"]; timeout = 0.2s; retransmits = 1; }\n',
           "milter_headers.conf": 'use = ["x-spamd-result"];\nskip_local = false;\nskip_authenticated = false;\n',
           "freemail.conf": "", "logging.inc": 'type = "console";\nlevel = "notice";\n'}
DISABLED = ("rbl", "surbl", "fuzzy_check", "asn", "phishing", "mx_check", "dmarc", "url_redirector", "hfilter", "neural", "replies",
            "greylist", "ratelimit", "history_redis", "bayes_expiry", "antivirus", "clickhouse", "elastic")
MILTERS = "smtpd_milters = { unix:segmilter/milter.sock, default_action=accept }"
OTHER = "{ inet:127.0.0.1:11332, default_action=accept }"
POINTS = 5.0  # groups.conf: max_score
FREEMAIL = b"gmail.com"


@contextmanager
def running(bed: Bed):
    root = bed.root / "rspamd"
    for name in ("db", "run", "log"):
        (root / name).mkdir(parents=True)
    shutil.copytree(FILES, root / "conf")
    for name, text in OFFLINE.items():
        (root / "conf/local.d" / name).write_text(text)
    for name in DISABLED:
        (root / f"conf/local.d/{name}.conf").write_text("enabled = false;\n")
    # The list of free mail providers comes from the network; here it has one name.
    (root / "conf/freemail.map").write_bytes(FREEMAIL + b"\n")
    (root / "conf/local.d/multimap.conf").write_text(
        f'freemail_from {{ map = "{root}/conf/freemail.map"; type = "from"; filter = "email:domain"; symbol = "FREEMAIL_FROM"; }}\n')
    subprocess.run(["chown", "-R", "_rspamd:", root], check=True)
    variables = {"LOCAL_CONFDIR": root / "conf", "DBDIR": root / "db", "RUNDIR": root / "run", "LOGDIR": root / "log"}
    with open(root / "output", "wb") as log:
        process = subprocess.Popen(bed.link.server.command(
            "rspamd", "-f", "-u", "_rspamd", "-g", "_rspamd", "-c", "/etc/rspamd/rspamd.conf",
            *(f"--var={name}={value}" for name, value in variables.items())), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_until(lambda: ready(bed, process, root), 40, "rspamd")
        yield root
    finally:
        end(process, 10)


def ready(bed: Bed, process: subprocess.Popen, root: Path) -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"rspamd ended: {(root / 'output').read_text(errors='replace')[-1500:]}")
    listing = bed.link.server.run("ss", "-Hltn", capture_output=True, text=True).stdout
    return all(f":{port} " in listing for port in (11332, 11333, 11334))


def scan(bed: Bed, data: bytes, *options) -> dict:
    """Score and symbols that rspamd gives."""
    text = run(bed.link.server.command("rspamc", "--json", *(() if "--ip" in options else ("--ip", "192.0.2.7")), *options, "symbols"), data)
    return json.loads(text)


def ours(answer: dict) -> dict[str, float]:
    return {name: one["score"] for name, one in answer["symbols"].items() if name.startswith("SEGMILTER_")}


def check_sample(checks: report.Checks, bed: Bed, sample: Sample) -> None:
    found = ours(scan(bed, sample.data, *(["--user", "alice"] if sample.user else [])))
    points = sum(found.values())
    right = "SEGMILTER_BOT" in found and points > 1 if sample.bot else points == 0
    checks.that(right, f"{sample.name}: {points:g} points, {', '.join(found) or 'no symbol'}")
    if any(score < 0 for score in found.values()):
        checks.that(False, f"{sample.name}: a bonus")


def check_cap(checks: report.Checks, bed: Bed, bot: Sample) -> None:
    data = bot.data.replace(b"talk@sender.example", b"talk@" + FREEMAIL).replace(b"score=3.9", b"score=9.9")
    answer = scan(bed, data, "--from", "talk@" + FREEMAIL.decode())
    found = ours(answer)
    checks.that("SEGMILTER_BOT_FREEMAIL" in found and "SEGMILTER_BOT_UNSIGNED" not in found,
                f"free mail address, unsigned: one composite of two: {found}")
    exempt = ours(scan(bed, bot.data, "--ip", "203.0.113.9"))
    checks.that(not exempt, f"a bot's message from a network of settings.conf: {exempt or 'no symbol'}")
    checks.that(abs(sum(found.values()) - POINTS) < 0.011, f"all symbols together add {sum(found.values()):.2f}, the bound of the group")


def check_chain(checks: report.Checks, bed: Bed) -> None:
    bed.postfix.set(f"{MILTERS}, {OTHER}")
    for name, send, bot in (("a template bot", lambda: bed.talk("bot2", "rspamd"), True),
                            ("a message at once", lambda: send_whole(bed, message(9100)), False)):
        text = delivered(bed, send).partition(b"\n\n")[0].decode()
        checks.that("SEGMILTER_" in text and ("SEGMILTER_BOT(" in text) == bot, f"as a milter after segmilter: {name} "
                    f"{'has' if bot else 'has not'} the sign in X-Spamd-Result")
    forged = field().replace(b"\n", b"\r\n")
    text = delivered(bed, lambda: send_by_user(bed, message(9150, forged))).partition(b"\n\n")[0].decode()
    checks.that("X-Spamd-Result" in text and "SEGMILTER_" not in text and "X-Protocol-Pattern" in text,
                "as a milter after segmilter: a user who logged in, with a forged field, has no symbol")
    bed.postfix.set(MILTERS.replace("= ", f"= {OTHER}, "))
    text = delivered(bed, lambda: bed.talk("bot2", "rspamd-first")).partition(b"\n\n")[0].decode()
    checks.that("SEGMILTER_ABSENT" in text and "SEGMILTER_BOT(" not in text, "as a milter before segmilter: it cannot see the field")
    bed.postfix.set(MILTERS)


def check(checks: report.Checks, bed: Bed, samples: list[Sample]) -> None:
    with running(bed) as root:
        for sample in samples:
            check_sample(checks, bed, sample)
        check_cap(checks, bed, samples[0])
        check_chain(checks, bed)
        log = (root / "output").read_text(errors="replace")
        faults = [line for line in log.splitlines() if re.search(r"SEGMILTER_|segmilter\.lua", line) and "write_log" not in line]
        checks.that(not faults, f"rspamd's log has no fault of the rules {faults[:3] or ''}")
