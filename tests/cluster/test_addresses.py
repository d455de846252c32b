"""Which addresses may be connected to, whatever form they have."""

from ipaddress import ip_address, ip_network

import pytest

from kubecustody.cluster.addresses import AddressRules

NOT_FROM_HERE = [
    "127.0.0.1",
    "127.8.8.8",
    "::1",
    "0.0.0.0",
    "0.1.2.3",
    "::",
    "169.254.169.254",
    "fe80::1",
    "224.0.0.1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0.0.0.0",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
]


@pytest.mark.parametrize("text", NOT_FROM_HERE)
def test_what_means_this_machine_or_its_link_is_refused(text: str) -> None:
    assert not AddressRules((), allow_loopback=False).allow(ip_address(text))
    everything = [ip_network("0.0.0.0/0"), ip_network("::/0")]
    assert not AddressRules(everything, allow_loopback=False).allow(ip_address(text))


@pytest.mark.parametrize("text", ["10.0.0.1", "192.0.2.1", "198.51.100.7", "2001:db8::1", "fd00::1", "::ffff:10.0.0.1"])
def test_without_networks_everything_else_is_allowed(text: str) -> None:
    assert AddressRules((), allow_loopback=False).allow(ip_address(text))


def test_with_networks_nothing_else_is_allowed() -> None:
    rules = AddressRules([ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")], allow_loopback=False)
    allowed = ["10.1.2.3", "2001:db8::1", "::ffff:10.1.2.3", "64:ff9b::a00:1"]
    refused = ["192.0.2.1", "2001:db9::1", "::ffff:192.0.2.1", "127.0.0.1", "64:ff9b::c000:201", "2002:a00:1::"]
    assert [rules.allow(ip_address(text)) for text in allowed] == [True] * 4
    assert [rules.allow(ip_address(text)) for text in refused] == [False] * 6


def test_of_loopback_only_what_is_named_is_allowed() -> None:
    rules = AddressRules([ip_network("127.0.0.1/32"), ip_network("10.0.0.0/8")], allow_loopback=True)
    assert [rules.allow(ip_address(text)) for text in ("127.0.0.1", "127.0.0.2", "::1", "10.1.1.1")] == [
        True,
        False,
        False,
        True,
    ]


def test_loopback_is_allowed_apart_from_the_networks() -> None:
    rules = AddressRules([ip_network("10.0.0.0/8")], allow_loopback=True)
    assert [rules.allow(ip_address(text)) for text in ("127.0.0.1", "::1", "::ffff:127.0.0.1")] == [True] * 3
    assert not rules.allow(ip_address("169.254.169.254"))
    assert not rules.allow(ip_address("192.0.2.1"))
