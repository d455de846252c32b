"""Parts of URLs: what is no host with a port is none with every Python."""

import pytest

from kubecustody.core.urls import split_url


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        *(("https://a.example", "a.example", None), ("https://a.example:8443/p", "a.example", 8443)),
        *(("https://[::1]", "::1", None), ("https://[fe80::1%25eth0]:6443", "fe80::1%25eth0", 6443)),
        *(("https://user:pass:word@[::1]:1", "::1", 1), ("https://a.example:", "a.example", None)),
    ],
)
def test_host_and_port_are_told(url: str, host: str, port: int | None) -> None:
    parts = split_url(url)
    assert (parts.hostname, parts.port) == (host, port)


NO_HOST = [
    *("[::1]beside", "beside[::1]", "[::1]]", "[[::1]]", "[::1", "::1]", "[]", "[name]", "[192.0.2.1]", "[::1]1"),
    *("::1", "a:b", "a:1:2", "a:65536", "a:+1", "a: 1", "a:１", "a:-1"),
]


@pytest.mark.parametrize("text", NO_HOST)
def test_what_is_no_host_with_a_port_is_refused(text: str) -> None:
    for url in (f"https://{text}", f"https://user@{text}/path"):
        with pytest.raises(ValueError):
            split_url(url)
