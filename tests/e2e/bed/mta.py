"""Mail servers other than Postfix that send from the client's namespace: Exim, OpenSMTPD, Sendmail.

Debian permits only one mail server on a machine, so packaging/install-packages unpacks these without installing them. What an
installation would have created (accounts, spool folders) is provided in a mount namespace:

    /etc/passwd, /etc/group     those of the machine, with the accounts of the three servers
    /etc/resolv.conf            empty, so that they do not wait for a name service
    /run, /var/lib, /var/spool  folders of the bed, because these paths are compiled into OpenSMTPD

Exim and Sendmail deliver in the process that takes the message, each with one configuration for "clear", "TLS" and "TLS 1.2".
OpenSMTPD is a daemon with one port for each way except TLS 1.2, for which its client has no setting.
"""
import subprocess
from os import chown
from pathlib import Path

from .netns import Namespace
from .process import end, wait_until

TREES = Path("/var/lib/segmilter-test/mta")
ACCOUNTS = ("Debian-exim", "opensmtpd", "opensmtpq", "smmta", "smmsp")
FIRST_ACCOUNT = 64900  # numbers that Debian does not assign by itself
HOST = "mail.sender.example"


class House:
    """Where the three live. `space` is the client's namespace, `relay` the address they send to."""

    def __init__(self, space: Namespace, root: Path, relay: str):
        absent = [name for name in ("exim4-daemon-light", "opensmtpd", "sendmail-bin") if not (TREES / name).is_dir()]
        if absent:
            raise RuntimeError(f"not unpacked below {TREES}: {', '.join(absent)} (run packaging/install-packages test)")
        self.space, self.root, self.relay = space, root, relay
        for folder in ("trees", "run", "lib/opensmtpd/empty", "spool/exim", "spool/mqueue", "spool/smtpd"):
            (root / folder).mkdir(parents=True)
        (root / "spool/smtpd").chmod(0o711)
        self._write_accounts()
        chown(root / "spool/exim", FIRST_ACCOUNT, FIRST_ACCOUNT)
        (root / "resolv.conf").write_text("")
        (root / "hosts").write_text(f"127.0.0.1 {HOST} localhost\n")

    def _write_accounts(self) -> None:
        passwd, group = Path("/etc/passwd").read_text(), Path("/etc/group").read_text()
        for number, name in enumerate(ACCOUNTS, FIRST_ACCOUNT):
            passwd += f"{name}:x:{number}:{number}::/var/lib/opensmtpd/empty:/usr/sbin/nologin\n"
            group += f"{name}:x:{number}:\n"
        (self.root / "passwd").write_text(passwd)
        (self.root / "group").write_text(group)

    def command(self, *argv) -> list[str]:
        """The command line that runs argv in here."""
        binds = [(TREES, self.root / "trees"), (self.root / "run", "/run"), (self.root / "lib", "/var/lib"),
                 (self.root / "spool", "/var/spool")]
        binds += [(self.root / name, f"/etc/{name}") for name in ("passwd", "group", "hosts", "resolv.conf")
                  if Path(f"/etc/{name}").exists()]
        script = "".join(f"mount --bind '{ours}' '{over}'\n" for ours, over in binds) + f'hostname {HOST}\nexec "$@"'
        return self.space.command("unshare", "--mount", "--uts", "sh", "-ec", script, "sh", *argv)

    def program(self, path: str) -> Path:
        """The path below the folder on which TREES is bound, because /var/lib is different in this namespace."""
        return self.root / "trees" / path

    def run(self, *argv, stdin: Path) -> None:
        with open(stdin, "rb") as source:
            done = subprocess.run(self.command(*argv), stdin=source, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, check=False, timeout=120)
        if done.returncode:
            raise RuntimeError(f"{argv[0]} failed: {done.stdout.strip()[-400:]}")


EXIM = """\
primary_hostname = {host}
exim_path = {program}
spool_directory = {spool}
log_file_path = {spool}/%slog
keep_environment =
{families}
begin routers
relay:
  driver = manualroute
  transport = relay
  route_list = * "<+ {relay}"
begin transports
relay:
  driver = smtp
  tls_verify_hosts =
  tls_try_verify_hosts =
  {chunking}
  {tls}
"""
EXIM_TLS = {"clear": "hosts_avoid_tls = *", "TLS": "hosts_require_tls = *",
            "TLS 1.2": "hosts_require_tls = *\n  tls_require_ciphers = NORMAL:-VERS-TLS1.3"}


class Exim:
    """Without `chunking` Exim uses DATA although the server offers BDAT."""

    def __init__(self, house: House, chunking: bool):
        self._house, self._name = house, "bdat" if chunking else "data"
        self._program = house.program("exim4-daemon-light/usr/sbin/exim4")
        self._spool = house.root / "spool/exim"
        for way, tls in EXIM_TLS.items():
            self._file(way).write_text(EXIM.format(
                host=HOST, program=self._program, spool=self._spool, relay=house.relay, tls=tls,
                families="" if ":" in house.relay else "disable_ipv6",
                chunking="" if chunking else "hosts_try_chunking ="))

    def _file(self, way: str) -> Path:
        return self._house.root / f"exim-{self._name}-{way.replace(' ', '-')}.conf"

    def send(self, way: str, sender: str, recipient: str, path: Path) -> None:
        self._house.run(self._program, "-C", self._file(way), "-odi", "-bm", "-f",
                        sender, recipient, stdin=path)
        if any((self._spool / "input").iterdir()):
            raise RuntimeError(f"Exim did not deliver: {(self._spool / 'mainlog').read_text()[-400:]}")


SENDMAIL = """\
VERSIONID(`the test bed')
OSTYPE(`linux')
define(`confDOMAIN_NAME', `{host}')
define(`QUEUE_DIR', `{root}/spool/mqueue')
define(`STATUS_FILE', `/dev/null')
define(`ALIAS_FILE', `')
define(`confPID_FILE', `{root}/sendmail.pid')
define(`confHOST_STATUS_DIRECTORY', `')
define(`confSERVICE_SWITCH_FILE', `{root}/service.switch')
define(`confDEF_USER_ID', `65534:65534')
define(`confQUEUE_LA', `1000')
define(`confREFUSE_LA', `1000')
define(`confCLIENT_SSL_OPTIONS', `{options}')
define(`SMART_HOST', `esmtp:[{relay}]')
FEATURE(`nocanonify')
CLIENT_OPTIONS(`Family=inet{modifier}')
MAILER(`smtp')
"""
# Modifier S: no STARTTLS as a client. QUEUE_LA: without it, a busy machine would only queue the mail.
SENDMAIL_TLS = {"clear": {"modifier": ", M=S", "options": ""}, "TLS": {"modifier": "", "options": ""},
                "TLS 1.2": {"modifier": "", "options": "+SSL_OP_NO_TLSv1_3"}}


class Sendmail:
    def __init__(self, house: House):
        self._house = house
        (house.root / "service.switch").write_text("hosts files\n")
        cf = TREES / "sendmail-cf/usr/share/sendmail/cf"
        for way, tls in SENDMAIL_TLS.items():
            source = house.root / "sendmail.mc"
            source.write_text(SENDMAIL.format(host=HOST, root=house.root, relay=house.relay, **tls))
            with open(self._file(way), "w") as made:
                subprocess.run(["m4", f"-D_CF_DIR_={cf}/", cf / "m4/cf.m4", source], stdout=made, check=True)

    def _file(self, way: str) -> Path:
        return self._house.root / f"sendmail-{way.replace(' ', '-')}.cf"

    def send(self, way: str, sender: str, recipient: str, path: Path) -> None:
        self._house.run(self._house.program("sendmail-bin/usr/libexec/sendmail/sendmail"), "-C", self._file(way), "-odi", "-i",
                        "-f", sender, recipient, stdin=path)
        if left := [file.name for file in (self._house.root / "spool/mqueue").iterdir()]:
            raise RuntimeError(f"Sendmail did not deliver: {left}")


# Without these settings OpenSMTPD waits some seconds between two connections to the same server.
OPENSMTPD = """\
mta limit conn-delay-host 0 conn-delay-source 0 conn-delay-connector 0 conn-delay-relay 0 conn-delay-domain 0
mta limit reconn-delay-route 0 session-transaction-delay 0
"""
OPENSMTPD_WAY = """\
listen on 127.0.0.1 port {port} hostname {host} tag {tag}
action {tag} relay host {url} {tls} helo {host}
match tag {tag} from any for any action {tag}
"""


class OpenSmtpd:
    """Takes mail on a port for each way in `ports`."""
    ports = {"clear": 2526, "TLS": 2527}

    def __init__(self, house: House):
        self._log = house.root / "opensmtpd.log"
        conf = house.root / "smtpd.conf"
        conf.write_text(OPENSMTPD + "".join(OPENSMTPD_WAY.format(
            port=port, host=HOST, tag=way, url=f"smtp+{'notls' if way == 'clear' else 'tls'}://{house.relay}",
            tls="" if way == "clear" else "tls no-verify") for way, port in self.ports.items()))
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(house.command(house.program("opensmtpd/usr/sbin/smtpd"), "-d", "-f", conf),
                                             stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until(lambda: self._listens(house.space), 10, "OpenSMTPD to listen")
        except TimeoutError as error:
            self.stop()
            raise RuntimeError(f"{error}; its log:\n{self._log.read_text()[-3000:]}") from None

    def _listens(self, space: Namespace) -> bool:
        listing = space.run("ss", "-Hltn", capture_output=True, text=True).stdout
        return all(f":{port} " in listing for port in self.ports.values())

    def stop(self) -> None:
        end(self._process)
