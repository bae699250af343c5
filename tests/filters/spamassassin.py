"""SpamAssassin with examples/filters/spamassassin/segmilter.cf: spamd for each sample, and spamass-milter after segmilter."""
import re
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

from bed import report
from bed.postfix import EXAMPLES
from bed.process import end, wait_until
from bed.testbed import Bed
from samples import FIELD, Sample, delivered, field, message, run, send_whole

FILES = EXAMPLES.parent / "filters/spamassassin"
NEEDS = ("spamd", "spamc", "spamassassin", "spamass-milter")
PORT, MILTER_PORT = 11783, 11784
MILTERS = "smtpd_milters = { unix:segmilter/milter.sock, default_action=accept }"
OTHER = f"{{ inet:127.0.0.1:{MILTER_PORT}, default_action=accept }}"


def site(root: Path) -> Path:
    """A folder of site rules: Debian's own list of plugins, and the example."""
    conf = root / "spamassassin"
    conf.mkdir()
    for plugins in Path("/etc/spamassassin").glob("*.pre"):
        shutil.copy(plugins, conf)
    shutil.copy(FILES / "segmilter.cf", conf)
    # So that a sample needs no point from elsewhere to be shown with its rules.
    (conf / "local.cf").write_text("use_bayes 0\nfreemail_domains gmail.com\nadd_header all Status _YESNO_, score=_SCORE_ tests=_TESTS(,)_\n")
    return conf


@contextmanager
def running(bed: Bed):
    conf = site(bed.root)
    done = bed.link.server.run("spamassassin", "-L", "--lint", f"--siteconfigpath={conf}", capture_output=True, text=True, check=False)
    if done.returncode or done.stderr.strip():
        raise RuntimeError(f"spamassassin --lint: {done.stderr}")
    home = bed.root / "spamd-home"
    home.mkdir()
    shutil.chown(home, "nobody")
    with open(bed.root / "spamd.log", "wb") as log:
        process = subprocess.Popen(bed.link.server.command(
            "spamd", "-L", "-x", "-u", "nobody", "-H", home, f"--siteconfigpath={conf}", "-i", "127.0.0.1", "-p", str(PORT), "-s", "stderr"),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_until(lambda: listens(bed, process, PORT), 60, "spamd")
        yield
    finally:
        end(process, 10)


def listens(bed: Bed, process: subprocess.Popen, port: int) -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"{process.args} ended with status {process.returncode}")
    return f":{port} " in bed.link.server.run("ss", "-Hltn", capture_output=True, text=True).stdout


def rules_in(text: str) -> list[str]:
    """Our rules in the X-Spam-Status field of a message that SpamAssassin has rewritten."""
    head = re.sub(r"\r?\n[ \t]+", "", text.partition("\n\n")[0])
    status = re.search(r"(?m)^X-Spam-Status: (.*)$", head)
    if not status:
        raise RuntimeError(f"no X-Spam-Status field in {head[:400]!r}")
    return sorted(re.findall(r"\bSEGM_\w+", status[1]))


def scan(bed: Bed, data: bytes) -> list[str]:
    return rules_in(run(bed.link.server.command("spamc", "-d", "127.0.0.1", "-p", str(PORT), "-s", "10000000"), data))


def check_sample(checks: report.Checks, bed: Bed, sample: Sample) -> None:
    found = scan(bed, sample.data)
    right = found == ["SEGM_TEMPLATE", "SEGM_UNSIGNED"] if sample.bot else not found
    checks.that(right, f"{sample.name}: {', '.join(found) or 'no rule'}")


def check_more(checks: report.Checks, bed: Bed, bot: Sample) -> None:
    rows = {"free mail address": (bot.data.replace(b"talk@sender.example", b"talk@gmail.com"), ["SEGM_FREEMAIL", "SEGM_TEMPLATE", "SEGM_UNSIGNED"]),
            "signed": (b"DKIM-Signature: v=1; a=rsa-sha256; d=sender.example\n" + bot.data, ["SEGM_TEMPLATE"]),
            "headers apart": (FIELD.sub(lambda _: field(pattern="bot-headers-apart", score="1.0"), bot.data), ["SEGM_APART", "SEGM_UNSIGNED"]),
            "another pattern with a high score": (FIELD.sub(lambda _: field(pattern="line-writer", score="2.5"), bot.data), ["SEGM_HIGH"])}
    for name, (data, wanted) in rows.items():
        found = scan(bed, data)
        checks.that(found == wanted, f"{name}: {', '.join(found)}")
    scores = [float(score) for score in re.findall(r"(?m)^ *score\s+SEGM_\w+\s+(\S+)", (FILES / "segmilter.cf").read_text())]
    checks.that(len(scores) == 5 and min(scores) > 0, f"no rule of the five has a negative score: {scores}")


def check_chain(checks: report.Checks, bed: Bed) -> None:
    with open(bed.root / "spamass-milter.log", "wb") as log:
        process = subprocess.Popen(bed.link.server.command(
            "spamass-milter", "-p", f"inet:{MILTER_PORT}@127.0.0.1", "-I", "--", "-d", "127.0.0.1", "-p", str(PORT)),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_until(lambda: listens(bed, process, MILTER_PORT), 10, "spamass-milter")
        bed.postfix.set(f"{MILTERS}, {OTHER}")
        found = rules_in(delivered(bed, lambda: bed.talk("bot2", "spamass")).decode())
        checks.that("SEGM_TEMPLATE" in found, f"spamass-milter after segmilter: a template bot: {', '.join(found)}")
        found = rules_in(delivered(bed, lambda: send_whole(bed, message(9200))).decode())
        checks.that(not found, f"spamass-milter after segmilter: a message at once: {', '.join(found) or 'no rule'}")
    finally:
        bed.postfix.set(MILTERS)
        end(process)


def check(checks: report.Checks, bed: Bed, samples: list[Sample]) -> None:
    with running(bed):
        for sample in samples:
            check_sample(checks, bed, sample)
        check_more(checks, bed, samples[0])
        check_chain(checks, bed)
