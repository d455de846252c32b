"""Whose address counts, and who may speak plain HTTP."""

from ipaddress import ip_network

import pytest

from kubecustody.server.addresses import may_speak_plainly, network_of

PROXIES = (ip_network("10.0.0.5"), ip_network("fd00::/8"))


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "10.0.0.5", "fd00::1"])
def test_plain_http_is_answered_to_this_machine_and_declared_proxies(peer: str) -> None:
    assert may_speak_plainly(peer, PROXIES)


@pytest.mark.parametrize("peer", ["10.0.0.6", "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "127.evil.example", ""])
def test_plain_http_is_refused_to_everybody_else(peer: str) -> None:
    assert not may_speak_plainly(peer, PROXIES)


def test_an_ipv6_customer_is_one_caller_however_many_addresses_they_have() -> None:
    assert network_of("2001:db8:1:2:3:4:5:6") == network_of("2001:db8:1:2:ffff::1") == "2001:db8:1:2::"
    assert network_of("2001:db8:1:3::1") != network_of("2001:db8:1:2::1")
    assert network_of("192.0.2.1") == "192.0.2.1"
