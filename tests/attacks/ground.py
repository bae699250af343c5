"""The place of the attacks: the test bed, with these additions.

    a second address of the server, a second port on which it listens, a second client behind the router
    slow.example   mail from this domain waits in smtpd_end_of_data_restrictions, as for a slow policy service; the local part
                   of the sender is the time in milliseconds: <d300@slow.example>
    bob            his mail is discarded, so that thousands of messages cost little; alice's mail is delivered
"""
import re
import socket
import threading
import time
from pathlib import Path

from bed.link import ROUTER4S, ROUTER6S, SERVER4
from bed.process import wait_until
from bed.testbed import Bed
from oracle import Said

SECOND4 = "198.51.100.26"      # the server's second address
OUTSIDE4 = "198.51.100.2"      # the router's address, from which clients behind its NAT come
SECOND_PORT = 2526
SIZE_LIMIT = 1_000_000         # of a message
REFUSED_IN_HEADER, REFUSED_IN_BODY = b"X-Refuse-Me: yes\r\n", b"refuse this line\r\n"

POSTFIX = [
    "enable_long_queue_ids = yes",  # a queue id is not used twice
    "transport_maps = inline:{ bob@example.org=discard: }",
    "smtpd_restriction_classes = waits",
    "smtpd_end_of_data_restrictions = check_sender_access inline:{ slow.example=waits }",
    f"message_size_limit = {SIZE_LIMIT}",
    "smtpd_hard_error_limit = 1000", "smtpd_soft_error_limit = 1000", "smtpd_junk_command_limit = 1000",
]


class WaitingPolicy:
    """A policy service that takes its time; see above."""

    def __init__(self, bed: Bed):
        self._listener = bed.link.server.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(200)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    @staticmethod
    def _serve(stream: socket.socket) -> None:
        with stream, stream.makefile("rwb") as talk:
            try:
                request = b""
                while line := talk.readline():
                    request += line
                    if line != b"\n":
                        continue
                    if wait := re.search(rb"(?m)^sender=d(\d+)@", request):
                        time.sleep(int(wait[1]) / 1000)
                    talk.write(b"action=DUNNO\n\n")
                    talk.flush()
                    request = b""
            except OSError:
                pass


class Ground:
    """with Ground(program, way) as ground: …   `way` is "proxy" or "wire"."""

    def __init__(self, program: Path, way: str):
        common = {"header": {"max_runs": 1000}, "breaker": {"enabled": False}, "filter": {"evidence_timeout": "4s"},
                  "policy": {"mode": "monitor", "tempfail": 2.5, "quarantine": 100.0, "reject": 100.0}}
        settings = {"proxy": {"proxy": {"listen": ["0.0.0.0:25", "[::]:25", f"0.0.0.0:{SECOND_PORT}"],
                                        "max_sessions_per_address": 1000,
                                        "balancers": [ROUTER4S, ROUTER6S], "balancer_transparent": True}},
                    "wire": {"wire": {"ports": [25, SECOND_PORT]}}}[way]
        services = f"{SECOND_PORT} inet n - n - - smtpd\n" if way == "wire" else ""
        self.way = way
        self.settings = common | settings
        self.bed = Bed(program, self.settings, tag="attack", tls=True, way={"proxy": "listen"}.get(way, way),
                       services=services)

    def __enter__(self) -> "Ground":
        self.bed.__enter__()
        try:
            self._policy = WaitingPolicy(self.bed)
            tables = self.bed.root
            (tables / "header_checks").write_text("/^X-Refuse-Me:/ REJECT for its header\n")
            (tables / "body_checks").write_text("/^refuse this line/ REJECT for its body\n")
            self.set_postfix(*POSTFIX, *(f"{name} = regexp:{tables / name}" for name in ("header_checks", "body_checks")),
                             f"waits = check_policy_service inet:127.0.0.1:{self._policy.port}")
            link = self.bed.link
            link.server.ip("addr", "add", f"{SECOND4}/24", "dev", "eth0")
            # A row of messages that fills the server's window would be cut at the window's end, where the oracle expects no cut.
            link.server.sysctl("ipv4/tcp_rmem", "4096 4194304 16777216")
            link.client.sysctl("ipv4/tcp_wmem", "4096 4194304 16777216")  # so would a row that has to wait for room in the send buffer
            # A port that was closed a second ago may be used towards the same server again.
            link.client.sysctl("ipv4/tcp_tw_reuse", 1)
            self.neighbour = link.attach_neighbour()
            self.neighbour.sysctl("ipv4/tcp_tw_reuse", 1)
        except BaseException:
            self.bed.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *error) -> None:
        self._policy.close()
        self.bed.__exit__(*error)

    def set_postfix(self, *lines: str) -> None:
        *first, last = lines
        if first:
            self.bed.postfix.space.run("postconf", "-c", self.bed.postfix.conf, "-e", *first)
        self.bed.postfix.set(last)

    def set_policy(self, **changes) -> None:
        """Changes settings of [policy] for the messages that follow."""
        self.bed.segmilter.reload(self.settings | {"policy": self.settings["policy"] | changes})
        time.sleep(1.2)  # each process looks once a second

    def connect(self, port: int = 0, to: tuple[str, int] = (SERVER4, 25), space=None, seconds: float = 10) -> socket.socket:
        """Connects from this port of the client (0: any). Other connections, to other addresses, may use the port at the same time."""
        stream = (space or self.bed.link.client).socket()
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            stream.setsockopt(socket.SOL_SOCKET, option, 1)
        stream.settimeout(seconds)
        try:
            if port:
                stream.bind(("0.0.0.0", port))
            stream.connect(to)
        except BaseException:
            stream.close()
            raise
        return stream


class Logs:
    """What Postfix and segmilter have logged since this object was made."""

    def __init__(self, bed: Bed):
        self._bed, self._postfix, self._segmilter = bed, self._size(bed.postfix), self._size(bed.segmilter)

    @staticmethod
    def _size(program) -> int:
        return program.log_file.stat().st_size if program.log_file.exists() else 0

    @staticmethod
    def _since(program, offset: int) -> str:
        with open(program.log_file, "rb") as log:
            log.seek(offset)
            return log.read().decode("utf-8", "replace")

    def wait_for_the_end(self) -> None:
        """Waits until no client is connected: then Postfix has asked all its questions."""
        def over() -> bool:
            text = self._since(self._bed.postfix, self._postfix)
            return text.count(": connect from ") == text.count(": disconnect from ")
        wait_until(over, 150, "all sessions to end", every=0.3)
        wait_until(lambda: not self._alice_waits(), 150, "mail to be delivered", every=0.3)

    def _alice_waits(self) -> bool:
        text = self._since(self._bed.postfix, self._postfix)
        queued = set(re.findall(r"qmgr\[\d+\]: (\w+): from=", text))
        return bool(queued - set(re.findall(r"qmgr\[\d+\]: (\w+): removed", text)))

    def judged(self) -> dict[str, Said | None]:
        """What the filter said of each message whose end Postfix has seen, by the tag in its Message-ID. None: Postfix got no answer
        from the filter."""
        text = self._since(self._bed.postfix, self._postfix)
        tags = dict(re.findall(r"cleanup\[\d+\]: (\w+): message-id=<(\w+)@", text))
        said = {match[1]: _said(match[2]) for match in
                re.finditer(r" info: (\w+): message (.*)", self._since(self._bed.segmilter, self._segmilter))}
        queued = set(re.findall(r"qmgr\[\d+\]: (\w+): from=", text))
        return {tag: said.get(queue) for queue, tag in tags.items() if queue in said or queue in queued}


def _said(line: str) -> Said:
    facts = dict(re.findall(r'(\w+)=("[^"]*"|\S*)', line))
    return Said(facts.get("pattern", "?"), facts.get("reason", ""), int(facts.get("size", 0)), facts.get("window") != "near",
                sizes(facts.get("segments", "").strip('"')), int(facts.get("message", 0)), line)


def sizes(text: str) -> tuple[int, ...] | None:
    """`1448x5,138`; None when there is none, or not all of it."""
    found: list[int] = []
    for item in filter(None, text.split(",")):
        size, _, count = item.partition("x")
        if not size.isdigit() or (count and not count.isdigit()):
            return None
        found += [int(size)] * int(count or 1)
    return tuple(found) or None
