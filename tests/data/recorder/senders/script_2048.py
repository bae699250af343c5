"""A few lines on a socket: HELO, the message in pieces of 2048 bytes, CRLF.CRLF. Written for this test; it is no real bot."""
import os
import socket

server = socket.create_connection((os.environ["SERVER"], int(os.environ.get("PORT", 25))))
answers = server.makefile("rb")
content = open(os.environ["M"] + ".crlf", "rb").read().replace(b"\r\n.", b"\r\n..")


def answer():
    while answers.readline()[3:4] == b"-":
        pass


answer()
for line in ("HELO mail.sender.example", f"MAIL FROM:<{os.environ['FROM']}>", f"RCPT TO:<{os.environ['TO']}>", "DATA"):
    server.sendall(line.encode() + b"\r\n")
    answer()
for start in range(0, len(content), 2048):
    server.sendall(content[start:start + 2048])
server.sendall(b"\r\n.\r\n")
answer()
server.sendall(b"QUIT\r\n")
answer()
