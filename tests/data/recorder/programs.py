"""The table of programs: how each is installed and called, and how it is known to write.

`writer` and `block` are taken from the program's system calls (`tests/data/record --writes`) or from its source, if that sets a buffer
of this size; never from the classifier. `*` stands for a way of writing between two of the classifier's words.
"""
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Program:
    name: str
    kind: str                        # the class of the truth: official-mta, relay, library, mua, cli, script, …
    send: str                        # shell, with $SERVER $FROM $TO $KIND $M (messages of this size) $S (senders) $TLS $NPM
    packages: tuple[str, ...] = ()   # Debian's
    npm: tuple[str, ...] = ()        # NAME@VERSION
    start: str = ""                  # shell; leaves a daemon behind
    tree: str = "main"               # programs of one tree may be installed side by side
    writer: str = "*"                # stream, blocks, lines, received-first, headers-apart, template; several with | between
    block: int = 0
    corked: bool = False             # TCP_CORK joins its writes; they are visible only under TLS
    links: tuple[str, ...] = ("base", "lan")  # of recording.LINKS
    sizes: tuple[str, ...] = ()      # of the messages; empty: all


def _npm(name: str, versions: str, send: str, **more) -> list[Program]:
    """One entry for each version. The first is called `name`, the others have their version after it. {at}: the folder of the version."""
    made = []
    for number, version in enumerate(versions.split()):
        package = version if "@" in version else f"{more['npm_name']}@{version}"
        own = {key: value.replace("{at}", f"$NPM/{package}/node_modules") if isinstance(value, str) else value
               for key, value in more.items() if key != "npm_name"}
        made.append(Program(name if not number else f"{name}-{version}", send=send.replace("{at}", f"$NPM/{package}/node_modules"),
                            npm=(package,), **own))
    return made


PLAIN, BDAT, TLS = ("base", "lan"), ("base-bdat",), ("base-tls",)
BARE = ("base-bare",)  # for programs whose commands depend on what the server offers
PATHS = ("initcwnd1", "jumbo", "tunnel")  # links on which boundaries move
VPNS = ("openvpn", "openvpn-tcp", "wireguard-go")
STACKS = (*VPNS, "gvisor", "lwip")  # and TCP stacks that are part of a program

FEED = "python3 $S/feed.py"  # gives the message to a server on this machine: PORT [USER PASSWORD]
MUTT = ('-n -F /dev/null -e "set smtp_url=smtp://$SERVER:25/ from=$FROM ssl_starttls=no ssl_force_tls=no '
        'hostname=mail.sender.example copy=no" -s "$(cat $M.subject)" $([ -s $M.bin ] && echo -a $M.bin --) $TO <$M.text')
CURL = "curl -sS --url smtp://$SERVER/mail.sender.example --mail-from $FROM --mail-rcpt $TO"
S_NAIL_TLS = "$([ $TLS = no ] || echo -Ssmtp-use-starttls -Stls-verify=ignore)"
MSMTP_TLS = "$([ $TLS = no ] || echo --tls=on --tls-starttls=on --tls-certcheck=off)"
PHP = "php -d error_reporting=8191 -d display_errors=1 $S/"  # all but what is deprecated
JAVA = "java -cp '/usr/share/java/*' $S/JavaMail.java"
GO = "GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE=/tmp/go HOME=/tmp go run"
EXIM = "bash $S/exim.sh"
POSTFIX = "bash $S/postfix_once.sh"

_TABLE = [
    # Relays and servers.
    *_npm("haraka-forward", "3.0.3 3.1.6", f"{FEED} 2525", npm_name="Haraka", kind="relay", writer="lines",
          start="bash $S/haraka.sh {at}/Haraka forward"),
    *_npm("haraka-outbound", "3.0.3 3.1.6", f"{FEED} 2525", npm_name="Haraka", kind="relay", writer="blocks", block=65536,
          links=(*PLAIN, *TLS), start="bash $S/haraka.sh {at}/Haraka outbound"),
    *_npm("zonemta", "3.10.3 2.4.3", "node $S/zonemta.js {at}", npm_name="zone-mta", kind="relay", writer="headers-apart",
            links=(*PLAIN, *TLS)),
    Program("dovecot-submission", "relay", f"{FEED} 587 user secret", ("dovecot-submissiond",), start="bash $S/dovecot.sh",
            tree="dovecot", writer="stream", corked=True, links=(*PLAIN, *BDAT, *TLS)),
    Program("mlmmj", "list-manager", "bash $S/mlmmj.sh", ("mlmmj",), writer="headers-apart", sizes=("k1", "k5", "k20")),
    # Above some 16 KB (memorymailsize) it reads the message line by line.
    Program("mlmmj-large", "list-manager", "bash $S/mlmmj.sh", ("mlmmj",), writer="*", sizes=("k100",)),
    Program("exim", "official-mta", f"{EXIM} $M.lf plain", ("exim4-daemon-heavy",), tree="exim", writer="blocks", block=8189,
            links=(*PLAIN, *BARE, *BDAT, *TLS, *PATHS, *VPNS, "gvisor")),
    Program("exim-dkim", "official-mta", f"{EXIM} $M.lf dkim", ("exim4-daemon-heavy",), tree="exim", writer="blocks", block=8189,
            links=(*PLAIN, *BDAT, *TLS)),
    Program("postfix", "official-mta", POSTFIX, ("postfix",), tree="relays", writer="stream",
            links=(*PLAIN, *BARE, *TLS, *PATHS, *VPNS)),
    Program("sendmail", "official-mta", "bash $S/sendmail.sh", ("sendmail-bin", "sendmail-cf", "m4"), tree="sendmail",
            writer="blocks", block=4096, links=(*PLAIN, *BARE)),
    Program("opensmtpd", "official-mta", f"{FEED} 2525", ("opensmtpd",), start="bash $S/opensmtpd.sh", tree="opensmtpd",
            links=(*PLAIN, *TLS)),
    Program("nullmailer", "null-client", "bash $S/nullmailer.sh send", ("nullmailer",), start="bash $S/nullmailer.sh start",
            tree="nullmailer",
            writer="blocks", block=4096),
    Program("fetchmail", "relay", "bash $S/fetchmail.sh", ("fetchmail",), writer="lines"),
    Program("dma", "null-client", "bash $S/dma.sh", ("dma",), tree="dma", writer="lines"),
    Program("ssmtp", "null-client", "bash $S/ssmtp.sh", ("ssmtp",), tree="ssmtp", writer="lines|received-first"),
    # Libraries of PHP.
    Program("php-horde-smtp", "library", f"{PHP}horde.php", ("php-horde-smtp", "php-horde-mail", "php-cli"), writer="blocks",
            block=65536, links=(*PLAIN, *BARE)),
    Program("php-horde-mime", "library", f"{PHP}horde.php built",
            ("php-horde-mime", "php-horde-smtp", "php-horde-mail", "php-cli"), writer="*"),
    Program("php-pear-mail", "library", f"{PHP}pear.php", ("php-net-smtp", "php-mail", "php-cli"), writer="headers-apart"),
    Program("phpmailer", "library", f"{PHP}phpmailer.php", ("libphp-phpmailer", "php-cli"), writer="lines", links=(*PLAIN, *TLS)),
    Program("swiftmailer", "library", f"{PHP}swift.php", ("php-swiftmailer", "php-cli"), writer="headers-apart",
            links=(*PLAIN, *BARE)),
    Program("symfony-mailer", "library", f"{PHP}symfony.php", ("php-symfony-mailer", "php-cli"), writer="*", links=(*PLAIN, *TLS)),
    # Of Node.
    *_npm("emailjs", "5.0.3 3.8.0", "node $S/emailjs.mjs {at}", npm_name="emailjs", kind="library", writer="*",
            links=(*PLAIN, *TLS)),
    *_npm("nodemailer-raw", "6.10.1 4.7.0 10.6.1", "node $S/nodemailer_modes.js {at} raw", npm_name="nodemailer", kind="library",
            writer="stream", links=(*PLAIN, *BARE, *TLS)),
    *_npm("nodemailer-stream", "6.10.1 10.6.1", "node $S/nodemailer_modes.js {at} stream", npm_name="nodemailer", kind="library",
            writer="*"),
    *_npm("nodemailer-build", "6.10.1 4.7.0 10.6.1", "node $S/nodemailer_modes.js {at} build", npm_name="nodemailer",
            kind="library", writer="headers-apart", links=(*PLAIN, *BARE, *TLS)),
    *_npm("nodemailer-pool", "6.10.1 10.6.1", "node $S/nodemailer_modes.js {at} pool", npm_name="nodemailer", kind="library",
            writer="headers-apart"),
    *_npm("npm-sendmail", "1.6.1", "node $S/npm_sendmail.js {at}", npm_name="sendmail", kind="library", writer="stream"),
    *_npm("smtp-connection", "4.0.2", "node $S/smtp_connection.js {at}", npm_name="smtp-connection", kind="library",
            writer="stream"),
    # Of Java.
    Program("javamail-raw", "library", f"{JAVA} raw", ("libmail-java", "default-jdk-headless"), writer="*", links=(*PLAIN, *TLS)),
    Program("javamail-build", "library", f"{JAVA} build", ("libmail-java", "default-jdk-headless"), writer="*"),
    Program("commons-email", "library", "java -cp '/usr/share/java/*' $S/CommonsEmail.java",
            ("libcommons-email-java", "libmail-java", "default-jdk-headless"), writer="*"),
    # Of Perl, Python, Ruby, Lua, Tcl, Go.
    Program("perl-mime-lite", "library", "perl $S/mime_lite.pl", ("libmime-lite-perl",), writer="headers-apart"),
    Program("perl-mail-sendmail", "library", "perl $S/mail_sendmail.pl", ("libmail-sendmail-perl",), writer="lines"),
    Program("perl-mail-sendeasy", "library", "perl $S/mail_sendeasy.pl", ("libmail-sendeasy-perl",), writer="*"),
    Program("perl-email-sender", "library", "perl $S/email_sender.pl", ("libemail-sender-perl",), writer="stream"),
    Program("perl-netsmtp-lines", "library", "perl $S/net_smtp.pl lines", ("libio-socket-ssl-perl",), writer="lines"),
    Program("perl-netsmtp-whole", "library", "perl $S/net_smtp.pl whole", ("libio-socket-ssl-perl",), writer="stream"),
    Program("py-aiosmtplib", "library", "python3 $S/python_ways.py aiosmtplib", ("python3-aiosmtplib",), writer="stream",
            links=(*PLAIN, *TLS)),
    Program("py-smtplib", "library", "python3 $S/python_ways.py smtplib", writer="stream", links=(*PLAIN, *TLS, *PATHS, *STACKS)),
    Program("py-django", "library", "python3 $S/python_ways.py django", ("python3-django",), writer="stream"),
    Program("py-twisted", "library", "python3 $S/python_ways.py twisted", ("python3-twisted",), writer="stream"),
    Program("ruby-mail", "library", "ruby $S/ruby_mail.rb mail", ("ruby-mail", "ruby"), writer="lines"),
    Program("ruby-netsmtp", "library", "ruby $S/ruby_mail.rb raw", ("ruby",), writer="lines"),
    Program("lua-socket", "library", "lua5.1 $S/socket.lua", ("lua-socket", "lua5.1"), writer="headers-apart"),
    Program("tcllib-smtp", "library", "tclsh $S/smtp.tcl", ("tcllib",), writer="blocks", block=4096),
    Program("go-smtp", "library", f"{GO} $S/netsmtp.go", ("golang-go",), writer="blocks", block=4096),
    Program("go-mail", "library", f"{GO} $S/gomail.go", ("golang-gopkg-mail.v2-dev", "golang-go"), writer="blocks", block=4096),
    # Agents and tools.
    Program("git-send-email", "cli", "bash $S/git.sh", ("git-email",), writer="headers-apart", sizes=("k1", "k5", "k20")),
    Program("esmtp", "null-client", "printf 'hostname=%s:25\\n' $SERVER >/tmp/esmtprc; esmtp -C /tmp/esmtprc -f $FROM $TO <$M.lf",
            ("esmtp",),
            writer="blocks", block=2048),
    Program("s-nail", "mua", f"s-nail -:/ -Sv15-compat -Smta=smtp://$SERVER:25 -Ssmtp-auth=none {S_NAIL_TLS} -Shostname=mail.sender.example "
            '-Sfrom=$FROM -Ssendwait -Snosave -s "$(cat $M.subject)" $([ -s $M.bin ] && echo -a $M.bin) $TO <$M.text',
            ("s-nail",), writer="lines", links=(*PLAIN, *TLS)),
    Program("mutt", "mua", f"mutt {MUTT}", ("mutt",), writer="lines"),
    Program("neomutt", "mua", f"neomutt {MUTT}", ("neomutt",), writer="lines"),
    Program("mailutils", "mua", 'mail.mailutils -E "set nosave" -E "set sendmail=smtp://$SERVER:25" -a "From: $FROM" '
            '-s "$(cat $M.subject)" $([ -s $M.bin ] && echo -A $M.bin) $TO <$M.text', ("mailutils",), writer="blocks", block=8192),
    Program("curl", "cli", f"{CURL} $([ $TLS = no ] || echo --ssl-reqd -k) -T $M.crlf", ("curl",), writer="blocks", block=65536,
            links=(*PLAIN, *TLS, *STACKS)),
    Program("curl-lf", "cli", f"{CURL} -T $M.lf", ("curl",), writer="blocks", block=65536),
    Program("curl-crlf", "cli", f"{CURL} --crlf -T $M.lf", ("curl",), writer="blocks", block=65536),
    Program("sendemail", "cli", 'sendemail -q -f $FROM -t $TO -s $SERVER:25 -o tls=no -u "$(cat $M.subject)" '
            "-o message-file=$M.text $([ -s $M.bin ] && echo -a $M.bin)", ("sendemail",), writer="headers-apart"),
    # Under TLS it writes through Net::SSLeay, the whole message at once.
    Program("swaks", "test-tool", "swaks --silent 2 --server $SERVER --from $FROM --to $TO --data @$M.lf --helo mail.sender.example",
            ("swaks",), writer="blocks", block=8192, links=(*PLAIN, *STACKS)),
    Program("msmtp", "null-client", f"msmtp --host=$SERVER --port=25 --domain=mail.sender.example {MSMTP_TLS} -f $FROM $TO <$M.lf",
            ("msmtp",), writer="lines", links=(*PLAIN, *BARE, *TLS, *STACKS)),
    Program("smtpping", "load-tool", "smtpping -c 1 -s $(($(stat -c %s $M.lf) / 1024 + 1)) -S $FROM $TO @$SERVER", ("smtpping",),
            writer="stream"),
]


def _relayed() -> list[Program]:
    """Senders behind a program that reads their bytes and writes them again (a relay or a proxy)."""
    senders = {"postfix": (POSTFIX, "relays", ("postfix",)), "exim": (f"{EXIM} $M.lf plain", "exim", ("exim4-daemon-heavy",)),
               "py-smtplib": ("python3 $S/python_ways.py smtplib", "relays", ()),
               "script-2048": ("python3 $S/script_2048.py", "relays", ())}
    forwards = {"socat": ("socat",), "haproxy": ("haproxy",), "stunnel": ("stunnel4", "openssl"), "ssh-local": ("openssh-server", "openssh-client"),
                "tinyproxy": ("tinyproxy", "socat"), "redir": ("redir",), "rinetd": ("rinetd",),
                "simpleproxy": ("simpleproxy",), "ncat": ("ncat",), "nginx": ("libnginx-mod-stream", "nginx-core"),
                "shadowsocks": ("shadowsocks-libev",)}
    proxies = {"microsocks": ("microsocks",), "dante": ("dante-server",), "ssh-socks": ("openssh-server", "openssh-client")}
    stacks = {"slirp": ("slirp4netns",), "pasta": ("passt",)}
    made = []
    for sender, (send, tree, packages) in senders.items():
        def add(relay: str, needs: tuple[str, ...], **more) -> None:
            made.append(Program(f"{sender}+{relay}", "relayed", packages=(*needs, *packages), tree=tree, links=("base",),
                                sizes=("k5", "k20", "k100"), **more))
        for relay, needs in forwards.items():
            # Exim ends its side with QUIT, and tinyproxy drops the answer that is still on its way.
            if sender == "exim" and relay not in ("socat", "haproxy", "stunnel", "ssh-local"):
                continue
            add(relay, needs, start=f"bash $S/relay.sh {relay}", send=f"export SERVER=127.0.0.1 PORT=2600; {send}")
        for relay, needs in proxies.items():
            if sender not in ("postfix", "exim"):  # the programs that they start do not load the library that leads to the proxy
                add(relay, (*needs, "proxychains4"),
            start=f"bash $S/relay.sh {relay}", send=f"proxychains4 -q -f /tmp/proxychains.conf {send}")
        for stack, needs in stacks.items():
            add(stack, needs, send=f"bash $S/stack.sh {stack} {send}")
    # Programs with various ways to write; a relay turns them into its own way.
    for sender in ("mutt", "msmtp", "phpmailer", "nodemailer-raw", "ruby-netsmtp", "swaks", "esmtp", "curl", "script-template"):
        alone = next(program for program in _TABLE if program.name == sender)
        for relay in ("haproxy", "socat", "redir", "tinyproxy", *(("shadowsocks",) if sender in ("curl", "msmtp", "script-template") else ())):
            made.append(replace(alone, name=f"{sender}+{relay}", kind="relayed", packages=(*forwards[relay], *alone.packages), writer="*", block=0,
                                links=("base",), sizes=("k5", "k20", "k100"), start=f"bash $S/relay.sh {relay} 25",
                                send=f"export SERVER=127.0.0.1; {alone.send}"))
    return made


_TABLE += [
    Program("script-2048", "script", "python3 $S/script_2048.py", writer="blocks", block=2048, links=(*PLAIN, *PATHS, *STACKS)),
    Program("script-template", "script", "python3 $S/script_template.py", writer="template", links=(*PLAIN, *STACKS)),
]
PROGRAMS = {program.name: program for program in [*_TABLE, *_relayed()]}
