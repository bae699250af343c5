"""A raw SMTP client: it sends exactly the bytes that it is given, in exactly the given writes.

Not smtplib, because that repairs line ends and stuffs dots, which a test of bytes must not do.
"""
import re
import socket
import ssl
import time


class Refused(Exception):
    """The server replied with an unexpected code."""

    def __init__(self, code: int, text: str):
        super().__init__(f"{code} {text}")
        self.code, self.text = code, text


def stuffed(content: bytes) -> bytes:
    """Adds a dot before lines that begin with one, then the final dot (RFC 5321, 4.5.2)."""
    if not content.endswith(b"\r\n"):
        content += b"\r\n"
    return re.sub(rb"(?m)^\.", b"..", content) + b".\r\n"


class Client:
    """One session over a connected socket; requires the greeting to be unread. Without `name` nothing is said or read yet."""

    def __init__(self, connection: socket.socket, name: str = "client.example", nodelay: bool = True):
        self._socket, self._buffer = connection, b""
        connection.settimeout(120)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, int(nodelay))
        if name:
            self.greeting = self.reply()
            self.ehlo = self.command(f"EHLO {name}")[1]

    def start_tls(self, context: ssl.SSLContext, name: str = "client.example") -> None:
        self.expect("STARTTLS", 220)
        self._socket = context.wrap_socket(self._socket)
        self.ehlo = self.command(f"EHLO {name}")[1]

    def reply(self) -> tuple[int, str]:
        lines = []
        while True:
            while b"\n" not in self._buffer:
                more = self._socket.recv(65536)
                if not more:
                    raise ConnectionResetError("the server closed the connection")
                self._buffer += more
            line, self._buffer = self._buffer.split(b"\n", 1)
            lines.append(line.decode("utf-8", "replace").rstrip("\r"))
            if lines[-1][3:4] != "-":
                return int(lines[-1][:3]), "\n".join(text[4:] for text in lines)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def command(self, line: str) -> tuple[int, str]:
        self.send(line.encode() + b"\r\n")
        return self.reply()

    def expect(self, line: str, code: int) -> str:
        got, text = self.command(line)
        if got != code:
            raise Refused(got, f"{text} (to {line!r})")
        return text

    def envelope(self, sender: str, recipient: str) -> None:
        self.expect(f"MAIL FROM:<{sender}>", 250)
        self.expect(f"RCPT TO:<{recipient}>", 250)

    def write(self, data: bytes, sizes=None, pause: float = 0.0) -> None:
        """One send() for each of `sizes`, the rest in one; `pause` seconds between them."""
        at = 0
        for size in sizes or ():
            if at >= len(data):
                break
            if at and pause:
                time.sleep(pause)
            self.send(data[at:at + size])
            at += size
        if at < len(data):
            if at and pause:
                time.sleep(pause)
            self.send(data[at:])

    def data(self, wire: bytes, sizes=None, pause: float = 0.0) -> str:
        """DATA with `wire` as it is, the final dot included; returns the server's last answer."""
        self.expect("DATA", 354)
        self.write(wire, sizes, pause)
        code, text = self.reply()
        if code != 250:
            raise Refused(code, text)
        return text

    def bdat(self, content: bytes, chunk: int, way: str) -> str:
        """BDAT in chunks. `way`: "apart" sends command and chunk in two writes, "joined" in one,
        "pipelined" everything in one write without waiting for replies (RFC 3030, 4.2)."""
        pieces = []
        for at in range(0, len(content), chunk):
            piece = content[at:at + chunk]
            last = " LAST" if at + chunk >= len(content) else ""
            pieces.append((f"BDAT {len(piece)}{last}\r\n".encode(), piece))
        if way == "pipelined":
            self.send(b"".join(line + piece for line, piece in pieces))
        text = ""
        for line, piece in pieces:
            if way == "joined":
                self.send(line + piece)
            elif way == "apart":
                self.send(line)
                self.send(piece)
            code, text = self.reply()
            if code != 250:
                raise Refused(code, text)
        return text

    def quit(self) -> None:
        try:
            self.command("QUIT")
        except OSError:
            pass
        self.close()

    def close(self) -> None:
        self._socket.close()
