"""Settings that name hosts and networks: what is none is told with what it must be."""

import pytest

from kubecustody.settings import SettingsRefused, is_loopback, load_settings


@pytest.mark.parametrize(
    "url",
    ["a.example", "https://", "https://[::1", "https://[::1]beside", "https://a.example:x", "https://a.example/p"],
)
def test_public_url_that_is_none_is_told(url: str) -> None:
    with pytest.raises(SettingsRefused, match="it must be https://HOST"):
        load_settings({}, {"public_url": url})


@pytest.mark.parametrize("name", ["trusted_proxies", "cluster_networks"])
def test_ipv4_within_ipv6_is_told_how_it_is_written(name: str) -> None:
    with pytest.raises(SettingsRefused, match=r"write 10\.0\.0\.0/8\."):
        load_settings({}, {name: "192.0.2.7, ::ffff:10.0.0.0/104"})


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_known_in_every_form(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "a.example", "192.0.2.7", "::", "::ffff:192.0.2.7"])
def test_what_is_not_this_machine_alone_is_no_loopback(host: str) -> None:
    assert not is_loopback(host)
