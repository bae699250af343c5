"""A POP3 server on 127.0.0.1:1110 with one message, for one session: pop3.py FILE"""
import socket
import sys

content = open(sys.argv[1], "rb").read().replace(b"\r\n.", b"\r\n..")
listener = socket.create_server(("127.0.0.1", 1110))
connection, _ = listener.accept()


def say(line):
    connection.sendall(line + b"\r\n")


say(b"+OK")
for line in connection.makefile("rb"):
    word, *rest = line.strip().upper().split()
    if word == b"STAT":
        say(b"+OK 1 %d" % len(content))
    elif word in (b"LIST", b"UIDL"):
        say(b"+OK 1 %d" % len(content) if rest else b"+OK\r\n1 %d\r\n." % len(content))
    elif word == b"LAST":
        say(b"+OK 0")
    elif word in (b"RETR", b"TOP"):
        say(b"+OK\r\n" + content + b".")
    elif word == b"CAPA":
        say(b"-ERR")
    else:
        say(b"+OK")
    if word == b"QUIT":
        break
