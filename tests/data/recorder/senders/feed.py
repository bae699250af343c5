"""Gives the message to a server on this machine: feed.py PORT [USER PASSWORD]. Returns when it has taken it."""
import os
import smtplib
import sys

with smtplib.SMTP("127.0.0.1", int(sys.argv[1]), local_hostname="desk.sender.example") as server:
    server.ehlo()
    if len(sys.argv) > 3:
        server.login(*sys.argv[2:4])
    server.sendmail(os.environ["FROM"], [os.environ["TO"]], open(os.environ["M"] + ".crlf", "rb").read())
