"""Which addresses are connected to, decided on the address of the very connection: a name that points elsewhere the
second time it is asked for gains nothing.
"""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from kubecustody.cluster.errors import AddressIsRefused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
AddrInfo = tuple[Any, ...]  # an entry of getaddrinfo

# What a gateway makes IPv4 of again (RFC 6052, 2.1; RFC 3056; RFC 4291, 2.5.5.1): judged by the IPv4 address within.
_NAT64, _SIX_TO_FOUR, _COMPATIBLE = (ip_network(text) for text in ("64:ff9b::/96", "2002::/16", "::/96"))
# "This network" (RFC 791, 3.2): Linux takes 0.0.0.0 for itself.
_THIS_NETWORK = ip_network("0.0.0.0/8")


class AddressRules:
    """What may be connected to: nothing link-local, unspecified or multicast, loopback only if that is allowed (and
    where networks are loopback's, in one of these), and of the rest what lies in one of the networks; with none,
    everything.
    """

    def __init__(self, networks: Sequence[Network], *, allow_loopback: bool) -> None:
        self._networks, self._allow_loopback = tuple(networks), allow_loopback

    def allow(self, address: Address) -> bool:
        """Whether this address may be connected to."""
        return all(self._allow_one(one) for one in _meanings(address))

    def _allow_one(self, address: Address) -> bool:
        if address.is_loopback:
            named = [network for network in self._networks if network.is_loopback]
            return self._allow_loopback and (not named or any(address in network for network in named))
        refused = address.is_link_local or address.is_unspecified or address.is_multicast or address in _THIS_NETWORK
        return not refused and (not self._networks or any(address in network for network in self._networks))

    def open_socket(self, info: AddrInfo) -> socket.socket:
        """A socket for an entry of getaddrinfo, not yet connected. Raises AddressIsRefused."""
        family, kind, protocol, _, where = info
        # A zone (fe80::1%eth0) is no part of the address.
        if not self.allow(ip_address(str(where[0]).partition("%")[0])):
            raise AddressIsRefused("this address is refused")
        return socket.socket(family, kind, protocol)


def _meanings(address: Address) -> list[Address]:
    """The address itself, or the IPv4 address that it carries; with 6to4 and NAT64 both, since both are routed."""
    if isinstance(address, IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return [IPv4Address(int(address) & 0xFFFF_FFFF)]
    if address in _SIX_TO_FOUR:
        return [address, IPv4Address(int(address) >> 80 & 0xFFFF_FFFF)]
    return [address]


class Resolver(AbstractResolver):
    """Asks the system for names, in threads of its own: a few dead name servers shall not keep the event loop's
    default threads, which are few, from everybody else.
    """

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="kubecustody-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a host. Raises OSError."""
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
        )
        return [
            ResolveResult(
                hostname=host,
                host=str(where[0]),
                port=int(where[1]),
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, protocol, _, where in found
        ]

    async def close(self) -> None:
        """Let the threads end; a question that hangs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
