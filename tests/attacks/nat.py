"""Two clients behind one address: the router gives them the same port towards two addresses of the server.

This is no deliberate attack: it happens with a stranger behind the same NAT.
"""
from contextlib import contextmanager

from attempt import FIRST_PORT, PORTS, Attempt
from doors import together
from ground import OUTSIDE4, SECOND4, Ground

# NAT keeps a client's port if it is in the range and free towards this address. So two clients with the same port keep it.
RULES = f"""
table ip nat {{
  chain postrouting {{
    type nat hook postrouting priority srcnat
    oifname "server" tcp dport 25 snat to {OUTSIDE4}:{FIRST_PORT}-{FIRST_PORT + PORTS - 1}
  }}
}}
"""


@contextmanager
def prepared(ground: Ground):
    router = ground.bed.link.router
    router.ip("addr", "add", f"{OUTSIDE4}/24", "dev", "server")
    router.run("nft", "-f", "-", input=RULES, text=True)
    try:
        yield
    finally:
        router.run("nft", "delete", "table", "ip", "nat")
        router.ip("addr", "del", f"{OUTSIDE4}/24", "dev", "server")


def two_clients(attempt: Attempt) -> None:
    together(attempt, [attempt.session(), attempt.session(to=(SECOND4, 25), space=attempt.ground.neighbour)])
