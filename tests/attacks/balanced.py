"""Attacks behind a balancer (`balancer_transparent`). The balancer's header names the client, and two sessions may name the same one."""
import socket
import struct
from contextlib import contextmanager

import reuse
from attempt import Attempt
from balancer import HAProxy
from bed.link import ROUTER4, SERVER4
from doors import together
from ground import SECOND4, SECOND_PORT, Ground

SECOND_ROUTER4 = "192.0.2.2"   # HAProxy's second address, as the client sees it
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


@contextmanager
def haproxy(ground: Ground):
    ground.bed.link.router.ip("addr", "add", f"{SECOND_ROUTER4}/24", "dev", "client")
    process = HAProxy(ground.bed, smtpchk=False)
    try:
        yield
    finally:
        process.stop()
        ground.bed.link.router.ip("addr", "del", f"{SECOND_ROUTER4}/24", "dev", "client")


def _proxy_v2(client: tuple[str, int], server: tuple[str, int]) -> bytes:
    return SIGNATURE + struct.pack("!BBH4s4sHH", 0x21, 0x11, 12, socket.inet_aton(client[0]), socket.inet_aton(server[0]),
                                   client[1], server[1])


def _named(attempt: Attempt, client: tuple[str, int], server: tuple[str, int]):
    return attempt.session(port=0, space=attempt.ground.bed.link.router, preface=_proxy_v2(client, server))


def named_twice(attempt: Attempt) -> None:
    """Both headers name the same client and server: only the time distinguishes the sessions."""
    client = ("192.0.2.99", attempt.port)
    together(attempt, [_named(attempt, client, (SERVER4, 25)) for _ in range(2)])


def named_to_two(attempt: Attempt) -> None:
    client = ("192.0.2.98", attempt.port)
    there = attempt.random.choice([(SECOND4, 25), (SERVER4, SECOND_PORT)])
    together(attempt, [_named(attempt, client, server) for server in ((SERVER4, 25), there)])


def two_of_haproxy(attempt: Attempt) -> None:
    """One client port to two addresses of HAProxy, which cuts the stream again."""
    attempt.recut = True
    together(attempt, [attempt.session(to=(address, 25)) for address in (ROUTER4, SECOND_ROUTER4)])


def reset_behind_haproxy(attempt: Attempt) -> None:
    attempt.recut = True
    attempt.to = (ROUTER4, 25)
    reuse.reset_slow_service(attempt)
