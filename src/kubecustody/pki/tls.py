"""The TLS root and server certificate that `kubecustody init` makes.

The root can vouch for the configured hosts and for nothing else, so that whoever trusts it, or steals its key,
gains no other host by it (name constraints, RFC 5280, 4.2.1.10). Times are unix seconds.
"""

import ipaddress
import os
import re
from collections.abc import Iterable, Sequence

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kubecustody.core.errors import OperatorError
from kubecustody.pki.certificates import Certificate
from kubecustody.pki.issuing import (
    DAY_SECONDS,
    Draft,
    PemPair,
    RandomBytes,
    leaf_usage,
    self_sign,
    sign,
    signing_usage,
)

ROOT_DAYS = 3653
SERVER_DAYS = 397
BACKDATE_SECONDS = 5 * 60

HOST_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
EVERY_ADDRESS = (
    x509.IPAddress(ipaddress.ip_network("0.0.0.0/0")),
    x509.IPAddress(ipaddress.ip_network("::/0")),
)
EVERY_NAME = x509.DNSName("")

Host = str | ipaddress.IPv4Address | ipaddress.IPv6Address


class HostUnusable(OperatorError):
    """A host is neither a DNS name nor an IP address, or there is none."""


def make_tls_root(hosts: Sequence[str], now: int, random_bytes: RandomBytes = os.urandom) -> PemPair:
    """A P-256 root for ten years that can vouch for these hosts only. Raises HostUnusable.

    A DNS name covers the names below it too; X.509 has no narrower form.
    """
    not_before = now - BACKDATE_SECONDS
    extensions = (
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (signing_usage(), True),
        (_constraints(parse_hosts(hosts)), True),
    )
    draft = Draft(_subject("kubecustody TLS root"), not_before, not_before + ROOT_DAYS * DAY_SECONDS, extensions)
    return self_sign(draft, random_bytes)


def make_server_certificate(
    root: PemPair, hosts: Sequence[str], now: int, random_bytes: RandomBytes = os.urandom
) -> PemPair:
    """A server certificate for 397 days with these hosts as SANs. Raises HostUnusable.

    Hosts that the root is not limited to are refused by every client, not here.
    """
    not_before = now - BACKDATE_SECONDS
    names = [_general_name(host) for host in parse_hosts(hosts)]
    extensions = (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (leaf_usage(), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectAlternativeName(names), False),
    )
    draft = Draft(_subject("kubecustody server"), not_before, not_before + SERVER_DAYS * DAY_SECONDS, extensions)
    return sign(draft, root, random_bytes)


def hosts_of(certificate: Certificate) -> list[str]:
    """The hosts that a server certificate of ours is for, as `make_server_certificate` takes them."""
    names = certificate.parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]


def parse_hosts(hosts: Iterable[str]) -> list[Host]:
    """DNS names in lower case and IP addresses, each once, in order. Raises HostUnusable."""
    found = list(dict.fromkeys(_parse_host(host) for host in hosts))
    if not found:
        raise HostUnusable("A server certificate needs at least one host: a DNS name or an IP address.")
    return found


def _parse_host(host: str) -> Host:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        name = host.lower()
    labels = name.split(".")
    # A name whose last label is all digits is a mistyped address.
    if len(name) > 253 or not all(HOST_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        raise HostUnusable(f"{host!r} is neither a DNS name nor an IP address (no port, no brackets, no *).")
    return name


def _general_name(host: Host) -> x509.DNSName | x509.IPAddress:
    return x509.DNSName(host) if isinstance(host, str) else x509.IPAddress(host)


def _constraints(hosts: Iterable[Host]) -> x509.NameConstraints:
    names = [x509.DNSName(host) for host in hosts if isinstance(host, str)]
    addresses = [x509.IPAddress(ipaddress.ip_network(host)) for host in hosts if not isinstance(host, str)]
    # A kind of name with no permitted subtree is not limited at all, so it is excluded as a whole.
    excluded = [*([] if names else [EVERY_NAME]), *([] if addresses else EVERY_ADDRESS)]
    return x509.NameConstraints([*names, *addresses], excluded or None)


def _subject(common_name: str) -> x509.Name:
    # With a blank in it, so that nobody takes the CN for a host name.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
