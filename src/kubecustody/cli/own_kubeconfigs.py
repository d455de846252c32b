"""Kubeconfigs by which the server itself gets into a cluster: with a token of its ServiceAccount, and nothing else."""

import base64
import json
import os
from pathlib import Path
from typing import Any

from kubecustody.cluster.access import Access
from kubecustody.core.errors import OperatorError

# Where Kubernetes puts it in each Pod ("Accessing the Kubernetes API from a Pod", read 2026-11-24).
MOUNTED = Path("/var/run/secrets/kubernetes.io/serviceaccount")
HOST_VARIABLE, PORT_VARIABLE = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"


def own_kubeconfig(admin: Access, server: str, token: str) -> str:
    """A kubeconfig with the account's token, and nothing of the administrator's."""
    cluster: dict[str, Any] = {"server": server}
    if admin.server_ca is not None:
        cluster["certificate-authority-data"] = base64.b64encode(admin.server_ca).decode()
    if admin.tls_server_name is not None:
        cluster["tls-server-name"] = admin.tls_server_name
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "kubecustody", "user": {"token": token}}],
        "contexts": [{"name": "cluster", "context": {"cluster": "cluster", "user": "kubecustody"}}],
        "current-context": "cluster",
    }
    return json.dumps(document)


def kubeconfig_of_pod() -> str:
    """The kubeconfig that the ServiceAccount of this very Pod gives. Raises OperatorError outside of one."""
    host, port = os.environ.get(HOST_VARIABLE), os.environ.get(PORT_VARIABLE)
    try:
        token, authority = (MOUNTED / "token").read_text().strip(), (MOUNTED / "ca.crt").read_bytes()
    except (OSError, UnicodeDecodeError):
        raise OperatorError(f"This is no Pod with a ServiceAccount: {MOUNTED} has no token and ca.crt.") from None
    if not host or not port:
        raise OperatorError(f"This is no Pod: {HOST_VARIABLE} and {PORT_VARIABLE} are not set.")
    server = f"https://{f'[{host}]' if ':' in host else host}:{port}"
    return own_kubeconfig(Access(server, authority), server, token)
