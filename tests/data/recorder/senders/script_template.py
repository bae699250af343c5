"""What a bot of templates does: smtplib's dialogue, then the message in the pieces that its template has. Ours, and no bot."""
import os
import smtplib

content = open(os.environ["M"] + ".crlf", "rb").read().replace(b"\r\n.", b"\r\n..")
subject = content.index(b"Subject: ") + len(b"Subject: ")
value_end = content.index(b"\r\n", subject)
body = content.index(b"\r\n\r\n") + 4
with smtplib.SMTP(os.environ["SERVER"], int(os.environ.get("PORT", 25)), local_hostname="mail.sender.example") as server:
    server.ehlo()
    server.mail(os.environ["FROM"])
    server.rcpt(os.environ["TO"])
    server.docmd("DATA")
    for piece in (content[:subject], content[subject:value_end], content[value_end:body], content[body:], b".\r\n"):
        server.sock.sendall(piece)
    server.getreply()
