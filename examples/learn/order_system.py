#!/usr/bin/python3
"""Plays a program that segmilter does not know: the order system of some company, which sends its own mail.

    order_system.py SIZE HOST RECIPIENT [PORT]

It writes its commands in lower case, the header of a message in one write, the text in another, and the end of data by itself, with
TCP_NODELAY. The message has SIZE bytes and is made here. Only the standard library is used. Exit 0: the server has taken it; 1: it has not.
"""
import socket
import sys

HEAD = ("From: Orders <orders@shop.example>\r\nTo: Alice <{to}>\r\nSubject: your order\r\nMessage-ID: <{size}@shop.example>\r\n"
        "Date: Fri, 27 Nov 2026 12:00:00 +0000\r\nX-Order: {size}\r\n\r\n")
LINE = b"1 piece of something that somebody has ordered, at a price\r\n"
END = b".\r\n"


class Refused(Exception):
    pass


def reply(connection: socket.socket, wanted: str) -> None:
    text = ""
    while not (text.endswith("\n") and text.splitlines()[-1][3:4] == " "):
        more = connection.recv(4096).decode()
        if not more:
            raise Refused("the server closed the connection")
        text += more
    if not text.splitlines()[-1].startswith(wanted):
        raise Refused(text.strip())


def say(connection: socket.socket, line: str, wanted: str) -> None:
    connection.sendall(f"{line}\r\n".encode())
    reply(connection, wanted)


def send(size: int, host: str, recipient: str, port: int) -> None:
    head = HEAD.format(to=recipient, size=size).encode()
    body = (LINE * (size // len(LINE) + 1))[:size - len(head) - len(END) - 2] + b"\r\n"
    with socket.create_connection((host, port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reply(connection, "220")
        say(connection, "ehlo shop.example", "250")
        say(connection, "mail from:<orders@shop.example>", "250")
        say(connection, f"rcpt to:<{recipient}>", "250")
        say(connection, "data", "354")
        connection.sendall(head)
        connection.sendall(body)
        connection.sendall(END)
        reply(connection, "250")
        say(connection, "quit", "221")


def main() -> int:
    if len(sys.argv) not in (4, 5) or not sys.argv[1].isdigit() or int(sys.argv[1]) < 500:
        print(__doc__.strip(), file=sys.stderr)
        return 64
    try:
        send(int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]) if len(sys.argv) > 4 else 25)
    except (Refused, OSError) as error:
        print(f"order_system.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
