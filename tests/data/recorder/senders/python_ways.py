"""python_ways.py smtplib|aiosmtplib|django|twisted"""
import asyncio
import os
import smtplib
import ssl
import sys

SERVER, FROM, TO, M = (os.environ[name] for name in ("SERVER", "FROM", "TO", "M"))
TLS = os.environ["TLS"] == "yes"
PORT = int(os.environ.get("PORT", 25))  # smtplib's
CONTENT = open(M + ".crlf", "rb").read()
NAME = "mail.sender.example"


def by_smtplib():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP(SERVER, PORT, local_hostname=NAME) as server:
        if TLS:
            server.starttls(context=context)
        server.sendmail(FROM, [TO], CONTENT)


def by_aiosmtplib():
    import aiosmtplib

    async def send():
        # It takes STARTTLS by itself where it is offered.
        server = aiosmtplib.SMTP(hostname=SERVER, port=25, validate_certs=False, source_address=NAME)
        await server.connect()
        await server.sendmail(FROM, [TO], CONTENT)
        await server.quit()
    asyncio.run(send())


def by_django():
    from django.conf import settings
    settings.configure(EMAIL_HOST=SERVER, EMAIL_PORT=25, DEFAULT_CHARSET="utf-8")
    from django.core.mail import EmailMultiAlternatives
    mail = EmailMultiAlternatives(open(M + ".subject").read(), open(M + ".text").read(), FROM, [TO])
    if html := open(M + ".html").read():
        mail.attach_alternative(html, "text/html")
    if data := open(M + ".bin", "rb").read():
        mail.attach("scan.bin", data, "application/octet-stream")
    mail.send()


def by_twisted():
    from twisted.internet import reactor
    from twisted.mail.smtp import sendmail
    failed = []
    done = sendmail(SERVER, FROM, [TO], open(M + ".lf", "rb").read(), port=25)
    done.addErrback(failed.append)
    done.addBoth(lambda _: reactor.stop())
    reactor.run()
    if failed:
        sys.exit(str(failed[0]))


globals()[f"by_{sys.argv[1]}"]()
