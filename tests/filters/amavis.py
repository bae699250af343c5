"""amavis after Postfix's queue, with the files of examples/filters/amavis and SpamAssassin's rules of segmilter."""
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from bed import report
from bed.postfix import EXAMPLES
from bed.process import end, wait_until
from bed.smtp import Client, stuffed
from bed.testbed import Bed
from samples import FROM, TO, Sample, delivered, message, send_whole
from spamassassin import rules_in, site

FILES = EXAMPLES.parent / "filters/amavis"
SERVICES = (FILES / "master.cf").read_text()
NEEDS = ("amavisd",)
PORT = 10034
UNFIT = ("one hundred kilobytes", "bytes that are no text")  # SMTP does not bring these as they are

# What this machine's folders are for Debian's files. The namespace has no network beyond the bed.
BED = """use strict;
$MYHOME = '{root}';
$daemon_user = 'amavis';
$daemon_group = 'amavis';
$unix_socketname = undef;
$TEMPBASE = "$MYHOME/tmp";
$db_home = "$MYHOME/db";
$QUARANTINEDIR = "$MYHOME/quarantine";
$pid_file = "$MYHOME/amavisd.pid";
$lock_file = "$MYHOME/amavisd.lock";
$do_syslog = 0;
$log_level = 1;
$mydomain = 'example.org';
$myhostname = 'mx1.example.org';
$sa_local_tests_only = 1;
$sa_siteconfigpath = '{conf}';
$max_servers = 1;
$max_requests = 1000;
@bypass_virus_checks_maps = (1);
@av_scanners = ();
@av_scanners_backup = ();
$final_spam_destiny = D_PASS;
$final_bad_header_destiny = D_PASS;
1;
"""


@contextmanager
def running(bed: Bed):
    root = bed.root / "amavis"
    for name in ("tmp", "db", "quarantine", "conf.d"):
        (root / name).mkdir(parents=True)
    conf = bed.root / "spamassassin"
    if not conf.exists():
        conf = site(bed.root)
    (root / "conf.d/90-bed").write_text(BED.format(root=root, conf=conf))
    shutil.copy(FILES / "60-segmilter", root / "conf.d")
    for path in (root, root / "tmp", root / "db", root / "quarantine"):
        shutil.chown(path, "amavis", "amavis")
    files = [path for path in sorted(Path("/etc/amavis/conf.d").iterdir()) if path.name != "50-user"]
    files += sorted((root / "conf.d").iterdir())
    with open(root / "output", "wb") as log:
        process = subprocess.Popen(bed.link.server.command(
            "amavisd", *(word for path in files for word in ("-c", path)), "foreground"),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=root)

    def ready() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"amavisd ended: {(root / 'output').read_text(errors='replace')[-1500:]}")
        return f":{PORT} " in bed.link.server.run("ss", "-Hltn", capture_output=True, text=True).stdout
    try:
        wait_until(ready, 60, "amavisd")
        yield
    except Exception:
        print((root / "output").read_text(errors="replace")[-3000:], file=sys.stderr)
        raise
    finally:
        end(process, 15)


def through(bed: Bed, data: bytes) -> None:
    """Gives one message to amavis, which gives it to Postfix."""
    connection = bed.link.server.socket()
    connection.connect(("127.0.0.1", PORT))
    client = Client(connection)
    client.envelope(FROM, TO)
    client.data(stuffed(data.replace(b"\n", b"\r\n")))
    client.quit()


def check(checks: report.Checks, bed: Bed, samples: list[Sample]) -> None:
    with running(bed):
        for sample in (one for one in samples if one.name not in UNFIT):
            found = rules_in(delivered(bed, lambda: through(bed, sample.data)).decode(errors="replace"))
            checks.that(("SEGM_TEMPLATE" in found) == sample.bot and (sample.bot or not found), f"{sample.name}: {', '.join(found) or 'no rule'}")
        content_filter = re.search(r"(?m)^content_filter = .*$", (FILES / "main.cf").read_text())[0]
        bed.postfix.set(content_filter)
        try:
            for name, send, bot in (("a template bot", lambda: bed.talk("bot2", "amavis"), True),
                                    ("a message at once", lambda: send_whole(bed, message(9500)), False)):
                text = delivered(bed, send)
                found, labels = rules_in(text.decode()), text.count(b"\nX-Protocol-Pattern: mx1")
                checks.that(("SEGM_TEMPLATE" in found) == bot and labels == 1,
                            f"as Postfix's content filter: {name}: {', '.join(found) or 'no rule'}, and {labels} field of segmilter")
        finally:
            bed.postfix.set("content_filter =")
