"""Clients of many networks that send to the machine: bots of the talk's kind, and mail servers.

The bots write a template in pieces, talk before the greeting, and write a command and its line end apart. The mail servers write the
whole message at once. Each network is a /24 below 198.18.0.0/15, which RFC 2544 keeps for tests.
"""
import socket
import time
from concurrent.futures import ThreadPoolExecutor

from bed.link import CLIENT4, Link
from bed.smtp import Client, stuffed
from bed.testbed import connect

TO = "alice@example.org"
PAUSE = 0.03  # seconds between writes, so that each is a segment of its own
AT_A_TIME = 12


def attach(link: Link, networks: int, hosts: int) -> list[list[str]]:
    """The addresses, network by network; the router sends what is for them to the client."""
    made = []
    for network in range(1, networks + 1):
        link.router.ip("route", "add", f"198.18.{network}.0/24", "via", CLIENT4)
        made.append([f"198.18.{network}.{host}" for host in range(10, 10 + hosts)])
        for address in made[-1]:
            link.client.ip("addr", "add", f"{address}/32", "dev", "eth0")
    return made


def message(tag: str) -> bytes:
    head = (f"Message-ID: <{tag}@sender.example>\r\nDate: Fri, 27 Nov 2026 12:00:00 +0000\r\nFrom: One <one@sender.example>\r\n"
            "To: Alice <alice@example.org>\r\nSubject: You have won a prize today\r\nMIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=us-ascii\r\n\r\n")
    return stuffed(head.encode() + b"The quick brown fox writes his mail in pieces.\r\n" * 90)


def split(client: Client, line: str) -> tuple[int, str]:
    client.send(line.encode())
    time.sleep(PAUSE)
    client.send(b"\r\n")
    return client.reply()


def bot(link: Link, source: str, tag: str) -> str:
    """The answer to the message."""
    client = Client(connect(link, source=source), name="")
    client.send(b"HELO home\r\n")
    client.reply(), client.reply()
    for line in ("MAIL FROM:<one@sender.example>", f"RCPT TO:<{TO}>", "DATA"):
        answer = split(client, line)
        if answer[0] >= 400:
            return f"{answer[0]} {answer[1]}"
    content = message(tag)
    at = content.index(b"You have")
    client.write(content, [at, 28, 60], PAUSE)
    code, text = client.reply()
    client.quit()
    return f"{code} {text}"


def server(link: Link, source: str, tag: str) -> str:
    """The answer to the message."""
    client = Client(connect(link, source=source), name="mail.sender.example")
    client.envelope("one@sender.example", TO)
    client.expect("DATA", 354)
    client.write(message(tag))
    code, text = client.reply()
    client.quit()
    return f"{code} {text}"


def send(link: Link, kind, sources: list[str], word: str) -> dict[str, str]:
    """A message of each source; the answers. The tags begin with `word`."""
    def one(source: str) -> str:
        try:
            return kind(link, source, f"{word}-{source}")
        except (OSError, socket.timeout) as error:
            return f"000 {error}"
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return dict(zip(sources, pool.map(one, sources)))
