"""The address of a caller: the socket's, or behind a declared proxy the entry that the proxy itself added."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network


def caller_address(peer: str, headers: list[tuple[bytes, bytes]], proxies: Sequence[Network]) -> str:
    """The caller's address as text.

    X-Forwarded-For is read from its end, over entries that are declared proxies themselves; anything before that
    was written by the caller and is not believed.
    """
    if not proxies or not _is_in(peer, proxies):
        return peer
    forwarded = b",".join(value for name, value in headers if name == b"x-forwarded-for")
    for entry in reversed(forwarded.decode("latin-1").split(",")):
        address = _parse(entry.strip())
        if address is None:
            break
        if not _is_in(str(address), proxies):
            return str(address)
    return peer


def came_by_tls(scheme: str, peer: str, headers: list[tuple[bytes, bytes]], proxies: Sequence[Network]) -> bool:
    """Whether the caller spoke TLS: to this server, or, as the last X-Forwarded-Proto says, to a declared proxy."""
    if proxies and _is_in(peer, proxies):
        forwarded = [value for name, value in headers if name == b"x-forwarded-proto"]
        return bool(forwarded) and forwarded[-1].rpartition(b",")[2].strip().lower() == b"https"
    return scheme == "https"


def network_of(address: str) -> str:
    """What counts as one caller: an IPv4 address, or the /64 of an IPv6 one, which is given to one customer whole."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Address(int(parsed) >> 64 << 64))
    return address


def may_speak_plainly(peer: str, proxies: Sequence[Network]) -> bool:
    """Whether plain HTTP from this address is answered: from this machine itself, or from a declared proxy."""
    parsed = _parse(peer)
    return parsed is not None and (parsed.is_loopback or any(parsed in network for network in proxies))


def _is_in(address: str, proxies: Sequence[Network]) -> bool:
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in proxies)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
