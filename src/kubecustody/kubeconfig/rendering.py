"""The text of a kubeconfig, laid out as the provider does.

The provider calls every cluster `kubernetes` and every user by the uid; kubectl, merging two such files, sends one
cluster's context to the other's server. So names are unique per cluster by default, and the provider's by setting.
Everything that is put into the text is base64, an id, or a checked address, so nothing needs quoting but the uid.
"""

import base64
import json
from enum import StrEnum
from typing import NamedTuple


class NameStyle(StrEnum):
    """How clusters and users are called in a kubeconfig."""

    UNIQUE = "unique"
    PROVIDER = "provider"


class KubeconfigParts(NamedTuple):
    """What a kubeconfig is made of. PEM as bytes; server_ca None: the system's roots vouch for the server;
    private_key None: its holder puts it in.
    """

    uid: str
    cluster_id: str
    server: str
    server_ca: bytes | None
    certificate: bytes
    private_key: bytes | None
    tls_server_name: str | None = None
    proxy_url: str | None = None


def render_kubeconfig(parts: KubeconfigParts, names: NameStyle) -> str:
    """The kubeconfig as YAML."""
    context = f"{parts.uid}-{parts.cluster_id}"
    cluster, user = (parts.cluster_id, context) if names is NameStyle.UNIQUE else ("kubernetes", parts.uid)
    ca = f"    certificate-authority-data: {_base64(parts.server_ca)}\n" if parts.server_ca else ""
    server_name = f"    tls-server-name: {json.dumps(parts.tls_server_name)}\n" if parts.tls_server_name else ""
    proxy = f"    proxy-url: {json.dumps(parts.proxy_url)}\n" if parts.proxy_url else ""
    text = f"""apiVersion: v1
kind: Config
clusters:
- name: "{cluster}"
  cluster:
    server: {json.dumps(parts.server)}
{ca}{server_name}{proxy}contexts:
- name: "{context}"
  context:
    cluster: "{cluster}"
    user: "{user}"
current-context: "{context}"
preferences: {{}}
users:
- name: "{user}"
  user:
    client-certificate-data: {_base64(parts.certificate)}
"""
    return text if parts.private_key is None else add_private_key(text, parts.private_key)


def add_private_key(text: str, private_key: bytes) -> str:
    """A kubeconfig of ours that lacks only the key (PEM), with it."""
    return f"{text}    client-key-data: {_base64(private_key)}\n"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
