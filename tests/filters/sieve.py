"""Dovecot's Pigeonhole with examples/filters/sieve/segmilter.sieve: sieve-test tells what it would do with each sample."""
import shutil
import subprocess
from pathlib import Path

from bed import report
from bed.postfix import EXAMPLES
from bed.testbed import Bed
from samples import Sample, path_of, run

FILE = EXAMPLES.parent / "filters/sieve/segmilter.sieve"
NEEDS = ("sieve-test", "sievec", "setpriv")
USER = "nobody"  # sieve-test refuses root


def by_lmtp(data: bytes) -> bytes:
    """The message with the field that a delivery by LMTP puts on top."""
    return b"Received: from mx1.example.org\n\tby mx1.example.org with LMTP\n\tid abc; Fri, 27 Nov 2026 12:00:00 +0000\n" + data


def outcome(folder: Path, script: Path, message: Path) -> str:
    """The actions that sieve-test prints."""
    text = run(["setpriv", f"--reuid={USER}", "--regid=nogroup", "--clear-groups", "env", f"HOME={folder}", "sieve-test", "-c", folder / "dovecot.conf",
                script, message], b"", cwd=folder)
    return text.partition("Performed actions:")[2]


def check(checks: report.Checks, bed: Bed, samples: list[Sample]) -> None:
    folder = bed.root / "sieve"
    folder.mkdir()
    script = Path(shutil.copy(FILE, folder))
    (folder / "dovecot.conf").write_text(f"mail_location = maildir:{folder}/mail\nmail_home = {folder}\nssl = no\n")
    done = subprocess.run(["sievec", "-c", folder / "dovecot.conf", script], capture_output=True, text=True)
    checks.that(done.returncode == 0 and not done.stderr, f"sievec accepts the script {done.stderr}")
    folder.chmod(0o777)
    for number, sample in enumerate(samples):
        for way, data in (("", sample.data), (", delivered by LMTP", by_lmtp(sample.data))):
            if way and not (sample.bot or sample.user):
                continue
            said = outcome(folder, script, path_of(folder, number, Sample(sample.name, data, sample.bot)))
            moved = "store message in folder: Junk" in said and "add IMAP flags: $Junk" in said
            kept = "store message in folder: INBOX" in said
            checks.that(moved != kept and moved == sample.bot, f"{sample.name}{way}: {'moved to Junk' if moved else 'kept'}")
