"""The link: client – router – server, and what a network does to segments on the way.

Loss, rate and MSS act on the router. nft drops packets at random in the forward hook, tbf on the interface towards the server
limits the rate. tcpdump runs on that interface and sees the packets after both. There is no delay, because not every kernel has
netem.
"""
import subprocess
import threading
from dataclasses import dataclass

from .netns import Namespace

CLIENT4, CLIENT6 = "192.0.2.7", "2001:db8:1::7"
SERVER4, SERVER6 = "198.51.100.25", "2001:db8:2::25"
PRIMARY4, PRIMARY6 = "203.0.113.25", "2001:db8:3::25"    # a second server, where a test attaches one
NEIGHBOUR4, NEIGHBOUR6 = "198.18.0.7", "2001:db8:4::7"   # a second client, where a test attaches one
ROUTER4, ROUTER6 = "192.0.2.1", "2001:db8:1::1"          # the router's address on the client's side
ROUTER4S, ROUTER6S = "198.51.100.1", "2001:db8:2::1"     # the router's address on the server's side


@dataclass(frozen=True)
class Condition:
    """How the link behaves. The default is a clean Ethernet with MTU-size segments everywhere."""
    sender_offload: bool = False    # TSO/GSO on the client
    router_offload: bool = False    # GRO/TSO on the router: merged segments pass it as they are
    receiver_offload: bool = False  # GRO on the server
    loss_permille: int = 0          # share of packets with payload that are lost, towards the server
    rate: str = ""                  # tbf, as "256kbit", towards the server
    mss: int = 0                    # clamp in SYN and SYN-ACK; 0: none
    timestamps: bool = True


class Link:
    def __init__(self, tag: str):
        self.client = self.router = self.server = self.primary = self.neighbour = None
        self._tag = tag
        try:
            self.client = Namespace(f"{tag}-client")
            self.router = Namespace(f"{tag}-router")
            self.server = Namespace(f"{tag}-server")
            self._wire(self.client, CLIENT4, CLIENT6, "client", ROUTER4, ROUTER6)
            self._wire(self.server, SERVER4, SERVER6, "server", ROUTER4S, ROUTER6S)
            self.router.sysctl("ipv4/ip_forward", 1)
            self.router.sysctl("ipv6/conf/all/forwarding", 1)
            for end in (self.client, self.server):
                # What one connection has learned about the path must not affect the next one.
                end.sysctl("ipv4/tcp_congestion_control", "reno")
                end.sysctl("ipv4/tcp_no_metrics_save", 1)
            self.set(Condition())
        except BaseException:
            self.delete()
            raise

    def _wire(self, end: Namespace, v4: str, v6: str, port: str, router4: str, router6: str) -> None:
        """eth0 of `end` to interface `port` of the router, addresses and default routes."""
        end.ip("link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", self.router.name)
        for space, name, ip4, ip6 in ((end, "eth0", v4, v6), (self.router, port, router4, router6)):
            space.ip("addr", "add", f"{ip4}/24", "dev", name)
            space.ip("-6", "addr", "add", f"{ip6}/64", "dev", name, "nodad")
            space.ip("link", "set", name, "mtu", "1500", "up")
        end.ip("route", "add", "default", "via", router4)
        end.ip("-6", "route", "add", "default", "via", router6)

    def attach_primary(self) -> Namespace:
        """A third end, on its own interface of the router."""
        self.primary = Namespace(f"{self._tag}-primary")
        self._wire(self.primary, PRIMARY4, PRIMARY6, "primary", "203.0.113.1", "2001:db8:3::1")
        return self.primary

    def attach_neighbour(self) -> Namespace:
        """Another client, of another network."""
        self.neighbour = Namespace(f"{self._tag}-neighbour")
        self._wire(self.neighbour, NEIGHBOUR4, NEIGHBOUR6, "neighbour", "198.18.0.1", "2001:db8:4::1")
        self._offload(self.neighbour, "eth0", False)
        return self.neighbour

    def spaces(self) -> list[Namespace]:
        return [space for space in
                (self.client, self.router, self.server, self.primary, self.neighbour) if space]

    def delete(self) -> None:
        for space in self.spaces():
            space.delete()

    def set(self, condition: Condition) -> None:
        self._offload(self.client, "eth0", condition.sender_offload)
        for port in ("client", "server"):
            self._offload(self.router, port, condition.router_offload)
        self._offload(self.server, "eth0", condition.receiver_offload)
        for end in (self.client, self.server):
            end.sysctl("ipv4/tcp_timestamps", int(condition.timestamps))
        self._filter(condition)
        self._shape(condition)

    @staticmethod
    def _offload(space: Namespace, interface: str, on: bool) -> None:
        word = "on" if on else "off"
        space.run("ethtool", "-K", interface, "tso", word, "gso", word, "gro", word,
                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _filter(self, condition: Condition) -> None:
        rules = ["flush ruleset", "table inet bed {", "chain forward {",
                 "type filter hook forward priority 0;"]
        if condition.mss:
            rules.append(f"tcp flags syn tcp option maxseg size set {condition.mss}")
        if condition.loss_permille:
            # 120: longer than any segment without payload.
            rules.append('iifname "client" tcp dport 25 meta length > 120 '
                         f"numgen random mod 1000 < {condition.loss_permille} counter drop")
        rules += ["}", "}"]
        self.router.run("nft", "-f", "-", input="\n".join(rules), text=True)

    def _shape(self, condition: Condition) -> None:
        self.router.run("tc", "qdisc", "del", "dev", "server", "root", check=False,
                        stderr=subprocess.DEVNULL)
        if condition.rate:
            self.router.run("tc", "qdisc", "add", "dev", "server", "root", "tbf", "rate",
                            condition.rate, "burst", "3200", "limit", "200000")


class RouteFlip:
    """A radio link's changing path MTU: the client's route alternates between two MTUs.

    with RouteFlip(link, 576, 1440, 0.05): send…
    """

    def __init__(self, link: Link, low: int, high: int, period: float):
        self._link, self._mtus, self._period = link, (low, high), period
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._flip, daemon=True)

    def _flip(self) -> None:
        turn = 0
        while not self._stop.wait(self._period):
            self._route("mtu", str(self._mtus[turn % 2]))
            turn += 1

    def _route(self, *extra: str) -> None:
        self._link.client.ip("route", "replace", "default", "via", ROUTER4, *extra)

    def __enter__(self):
        self._route("mtu", str(self._mtus[1]))
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self._route()
