"""Sessions that few or no legitimate programs have. All watchers have to see each of them alike.

After each odd message its sender goes on with ordinary mail, which has to be followed too.
"""
import socket
import ssl
import struct

from bed.link import SERVER4
from bed.smtp import Client, stuffed
from bed.testbed import Bed
from under_tls import FROM, TO, Senders, context, message

MSG_FASTOPEN = 0x20000000
REFUSED_HEADER = b"X-Refuse: yes\r\n"  # a header check of Postfix refuses it
ENVELOPE = f"MAIL FROM:<{FROM}>\r\nRCPT TO:<{TO}>\r\n".encode()
# Commands in a form that differs from RFC 5321, and parameters.
HABITS = {
    "lower": ("helo client.example", f"mail from:<{FROM}>", f"rcpt to:<{TO}>", "data"),
    "soft": ("EHLO [192.0.2.7]", f"MAIL From: <{FROM}> BODY=8BITMIME SIZE=5100 RET=HDRS",
             f"RCPT To: <{TO}> NOTIFY=NEVER", "DATA  "),
    "mixed": ("ehlo client", f"MAIL FROM:<{FROM}> SIZE=4000 BODY=7BIT", f"Rcpt TO:<{TO}>", "RSET",
              f"MAIL FROM:<{FROM}> SIZE=4000 BODY=7BIT", f"Rcpt TO:<{TO}>", "data"),
}


class OddSenders:
    def __init__(self, senders: Senders):
        self._senders, self._bed = senders, senders.bed
        self.names: dict[str, str] = {}  # names of the sessions, by the client's address and port

    def send_all(self) -> None:
        self._urgent()
        self._habits()
        self._half_close()
        self._with_the_last_ack()
        self._fast_open()
        for tls, way in ((None, "clear"), (context(), "TLS"), (context(ssl.TLSVersion.TLSv1_2, "ecdsa"), "TLS 1.2")):
            self._reset(tls, way)
            for count, together in ((2, False), (5, False), (5, True), (17, True)):
                self._bdat_row(tls, way, count, together)
            self._bdat_chunks(tls, way)
            self._data_row(tls, way)
            self._refused(tls, way)
        client = self._open("IPv6", v6=True)
        client.envelope(FROM, TO)
        client.data(self._text("whole", 9000, "IPv6"))
        client.quit()

    def _content(self, program: str, size: int, way: str) -> bytes:
        return self._senders.note(program, size, way)[1].read_bytes()

    def _text(self, program: str, size: int, way: str) -> bytes:
        return stuffed(self._content(program, size, way))

    def _open(self, name: str, tls: ssl.SSLContext | None = None, v6: bool = False) -> Client:
        connection = self._bed.connect(v6=v6)
        self._name(connection, name)
        client = Client(connection)
        if tls:
            client.start_tls(tls)
        return client

    def _name(self, connection: socket.socket, name: str) -> None:
        address, port = connection.getsockname()[:2]
        self.names[f"[{address}]:{port}" if ":" in address else f"{address}:{port}"] = name

    def _urgent(self) -> None:
        for place in ("in front", "in the text"):
            client = self._open("urgent data")
            text = self._text("whole", 9000, f"urgent data {place}")
            client.envelope(FROM, TO)
            if place == "in front":
                client._socket.send(b"!", socket.MSG_OOB)
            client.expect("DATA", 354)
            client.send(text[:100])
            if place == "in the text":
                client._socket.send(b"!", socket.MSG_OOB)
            client.send(text[100:])
            client.reply()
            client.quit()

    def _habits(self) -> None:
        for tls, way in ((None, "clear"), (context(), "TLS")):
            for name, commands in HABITS.items():
                client = self._open(name, tls)
                for command in commands:
                    client.command(command)
                client.send(self._text(f"habits {name}", 5000, way))
                client.reply()
                client.quit()
        client = self._open("split")
        for part in (f"MAIL FROM:", f"<{FROM}>\r\n"):
            client.send(part.encode())
        client.reply()
        client.send(f"RCPT TO:<{TO}>\n".encode())
        client.reply()
        client.data(self._text("split command, bare LF", 5000, "clear"))
        client.quit()

    def _half_close(self) -> None:
        client = self._open("half close")
        client.envelope(FROM, TO)
        client.expect("DATA", 354)
        client.send(self._text("whole", 5000, "half close"))
        client._socket.shutdown(socket.SHUT_WR)
        client.reply()
        client.close()

    def _with_the_last_ack(self) -> None:
        """Sends data with the handshake's last ACK, so that EHLO arrives before the server can greet."""
        connection = self._bed.link.client.socket()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)  # of a client: its ACK waits for data
        connection.connect((SERVER4, 25))
        connection.sendall(b"EHLO client.example\r\n")
        self._go_on(connection, "early talker")

    def _fast_open(self) -> None:
        """Sends EHLO with the SYN, then a whole session up to the beginning of its message."""
        ask = self._bed.link.client.socket()  # to get the cookie
        ask.sendto(b"", MSG_FASTOPEN, (SERVER4, 25))
        ask.recv(1)
        ask.close()
        connection = self._bed.link.client.socket()
        connection.sendto(b"EHLO client.example\r\n", MSG_FASTOPEN, (SERVER4, 25))
        self._go_on(connection, "Fast Open")
        connection = self._bed.link.client.socket()
        text = self._text("whole", 9000, "Fast Open, a message in the SYN")
        connection.sendto(b"EHLO client.example\r\n" + ENVELOPE + b"DATA\r\n" + text[:900], MSG_FASTOPEN, (SERVER4, 25))
        client = Client(connection, name="")
        client.send(text[900:])
        for _ in range(6):
            client.reply()
        client.quit()

    def _go_on(self, connection: socket.socket, way: str) -> None:
        client = Client(connection, name="")
        for _ in range(2):
            client.reply()
        client.envelope(FROM, TO)
        client.data(self._text("whole", 9000, way))
        client.quit()

    def _reset(self, tls: ssl.SSLContext | None, way: str) -> None:
        """In the middle of the session's second message."""
        client = self._open("reset", tls)
        client.envelope(FROM, TO)
        client.data(self._text("whole", 9000, f"reset behind it, {way}"))
        client.envelope(FROM, TO)
        client.expect("DATA", 354)
        client.send(message("reset", 9000)[:4000])
        client._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

    def _bdat_row(self, tls: ssl.SSLContext | None, way: str, count: int, together: bool) -> None:
        """Whole messages pipelined."""
        client, burst = self._open("row", tls), []
        for number in range(count):
            content = self._content("row", 3000 + 7 * number, f"BDAT, {way}")
            burst += [ENVELOPE + f"BDAT {len(content)} LAST\r\n".encode(), content]
        for part in [b"".join(burst)] if together else burst:
            client.send(part)
        for _ in range(3 * count):
            client.reply()
        client.quit()

    def _bdat_chunks(self, tls: ssl.SSLContext | None, way: str) -> None:
        client = self._open("chunks", tls)
        for size, how in ((900, "apart"), (9001, "pipelined"), (9002, "joined"), (9101, "pipelined"), (9102, "joined")):
            client.envelope(FROM, TO)
            client.bdat(self._content(f"chunks {how}", size, f"BDAT, {way}"), 4000, how)
        client.quit()

    def _data_row(self, tls: ssl.SSLContext | None, way: str) -> None:
        """Three messages in one write, without waiting for 354."""
        client = self._open("DATA row", tls)
        client.send(b"".join(ENVELOPE + b"DATA\r\n" + self._text("DATA row", 3000 + 7 * number, way) for number in range(3)))
        for _ in range(12):
            client.reply()
        client.quit()

    def _refused(self, tls: ssl.SSLContext | None, way: str) -> None:
        """Messages that are refused for their sender, recipient or header, then one that is accepted; the same by BDAT."""
        client = self._open("refused", tls)
        client.command(f"MAIL FROM:<{FROM}> SIZE=99999999")
        self._foreign_recipient(client)
        client.command("DATA")
        client.command("RSET")
        client.envelope(FROM, TO)
        client.expect("DATA", 354)
        client.send(stuffed(REFUSED_HEADER + message("refused", 5000)))
        client.reply()
        client.envelope(FROM, TO)
        client.data(self._text("behind refused ones", 5000, way))
        self._foreign_recipient(client)
        client.send(b"BDAT 3000 LAST\r\n" + message("refused", 3000))
        client.reply()
        client.command("RSET")
        client.envelope(FROM, TO)
        client.bdat(self._content("behind refused ones", 5100, f"BDAT, {way}"), 100_000, "joined")
        client.quit()

    @staticmethod
    def _foreign_recipient(client: Client) -> None:
        client.command(f"MAIL FROM:<{FROM}>")
        client.command("RCPT TO:<bob@elsewhere.example>")


def refuse_headers(bed: Bed) -> str:
    """The line of main.cf by which Postfix refuses REFUSED_HEADER."""
    checks = bed.root / "header_checks"
    checks.write_text("/^X-Refuse:/ REJECT\n")
    return f"header_checks = regexp:{checks}"
