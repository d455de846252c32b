"""An administrator's kubeconfig, read on their own machine as kubectl reads it: files are read and programs are run.

The server never does any of this. Rules: kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
and .../reference/access-authn-authz/authentication/#client-go-credential-plugins (read 2026-11-24).

Refused, with another way: what proves nobody (insecure-skip-tls-verify), what goes another way than the server will
(proxy-url), what changes who one is (`as`), and providers that kubectl itself knows no more.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kubecustody.cli.files import read_bytes
from kubecustody.cluster.access import Access, access_from_candidate
from kubecustody.core.errors import OperatorError
from kubecustody.kubeconfig.document import (
    MAX_FILE_BYTES,
    KubeconfigCluster,
    KubeconfigUser,
    Members,
    Value,
    decoded_member,
    member_text,
    named_members,
    read_members,
)

OTHER_WAY = "`clusters bootstrap --print | kubectl --context CONTEXT apply -f -` goes kubectl's own way."

_EXEC_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_EXEC_SECONDS = 300  # somebody may have to sign in
_LARGEST_CREDENTIAL_BYTES = 1024 * 1024


class _Entry(NamedTuple):
    """A named entry of a kubeconfig, and the folder that its paths are relative to."""

    members: Members
    folder: Path


class AdminContext(NamedTuple):
    """A context, as whom and where: name and the cluster's name as the file has them."""

    context: str
    cluster_name: str
    access: Access


def read_admin_context(files: Sequence[Path], context: str | None) -> AdminContext:
    """The access that a context of these files describes; of equal names the first counts. Raises OperatorError."""
    lists: dict[str, dict[str, _Entry]] = {"clusters": {}, "contexts": {}, "users": {}}
    current: str | None = None
    for file in files:
        top = read_members(read_bytes(file, MAX_FILE_BYTES, what="kubeconfig"))
        current = current or member_text(top, "current-context", "current-context")
        for plural, entries in lists.items():
            for name, members in named_members(top, plural, plural.removesuffix("s")):
                entries.setdefault(name, _Entry(members, file.absolute().parent))
    chosen = lists["contexts"].get(context or current or "")
    if chosen is None:
        known = ", ".join(lists["contexts"]) or "none"
        raise OperatorError(f"Say which context is meant: --context NAME. There are: {known}.")
    cluster_name, user_name = (member_text(chosen.members, one, f"context.{one}") or "" for one in ("cluster", "user"))
    cluster, user = lists["clusters"].get(cluster_name), lists["users"].get(user_name)
    if cluster is None or user is None:
        raise OperatorError("The context names a cluster or a user that is not in the kubeconfig.")
    taken = _take_cluster(cluster_name, cluster)
    access = access_from_candidate(taken, _take_user(user_name, user, cluster, taken))
    return AdminContext(context or current or "", cluster_name, access)


def kubeconfig_files(named: Path | None) -> list[Path]:
    """The files that kubectl reads: the named one, else those of KUBECONFIG that are there, else ~/.kube/config."""
    if named is not None:
        return [named]
    told = [Path(one) for one in os.environ.get("KUBECONFIG", "").split(os.pathsep) if one]
    files = [one for one in told or [Path.home() / ".kube" / "config"] if one.exists()]
    if not files:
        raise OperatorError("There is no kubeconfig: say --kubeconfig FILE.")
    return files


# --- cluster and user


def _take_cluster(name: str, entry: _Entry) -> KubeconfigCluster:
    members = entry.members
    skips = member_text(members, "insecure-skip-tls-verify", "insecure-skip-tls-verify") or "false"
    if skips.lower() not in ("false", "no", "off", "n"):
        raise OperatorError(
            "insecure-skip-tls-verify is refused: an administrator's rights go to no server that does not prove who it "
            "is. Put the cluster's CA into the kubeconfig (certificate-authority-data)."
        )
    if member_text(members, "proxy-url", "proxy-url"):
        raise OperatorError(f"proxy-url is refused: the server itself will not go through that proxy. {OTHER_WAY}")
    authority = _data_or_file(entry, "certificate-authority")
    return KubeconfigCluster(
        name, member_text(members, "server", "server"), authority, member_text(members, "tls-server-name", "name"), ()
    )


def _take_user(name: str, entry: _Entry, cluster: _Entry, taken: KubeconfigCluster) -> KubeconfigUser:
    members = entry.members
    for member, why in (
        ("as", f"it would act as somebody else. {OTHER_WAY}"),
        ("auth-provider", "kubectl knows it no more: use what replaced it, an exec plugin."),
        ("username", "Kubernetes takes passwords no more: use a certificate or a token."),
    ):
        if members.get(member):
            raise OperatorError(f"The kubeconfig's user has `{member}`, which is refused: {why}")
    certificate, key = _data_or_file(entry, "client-certificate"), _data_or_file(entry, "client-key")
    token = _token_of_file(entry) or member_text(members, "token", "token")
    program = members.get("exec")
    # As client-go: a program is asked where nothing else says who one is.
    if program and not token and certificate is None:
        return _ask_program(name, program, entry.folder, cluster, taken)
    return KubeconfigUser(name, certificate, key, (), token)


def _data_or_file(entry: _Entry, name: str) -> bytes | None:
    """The bytes of `NAME-data`, which goes before the file that `NAME` names."""
    data, faults = decoded_member(entry.members, f"{name}-data")
    if faults:
        raise OperatorError(f"The kubeconfig is not taken. {' '.join(faults)}")
    path = member_text(entry.members, name, name)
    return data if data is not None or path is None else read_bytes(entry.folder / path, MAX_FILE_BYTES, what=name)


def _token_of_file(entry: _Entry) -> str | None:
    path = member_text(entry.members, "tokenFile", "tokenFile")
    if not path:
        return None
    return read_bytes(entry.folder / path, MAX_FILE_BYTES, what="tokenFile").decode("ascii", "replace").strip()


# --- programs


def _ask_program(name: str, value: Value, folder: Path, cluster: _Entry, taken: KubeconfigCluster) -> KubeconfigUser:
    """What the user's credential plugin answers (ExecCredential)."""
    plugin = value if isinstance(value, dict) else {}
    version = member_text(plugin, "apiVersion", "exec.apiVersion") or ""
    if version not in _EXEC_VERSIONS:
        raise OperatorError(f"The kubeconfig's exec plugin must have apiVersion {' or '.join(_EXEC_VERSIONS)}.")
    command = _find_program(plugin, folder)
    arguments = _texts(plugin, "args")
    mode = member_text(plugin, "interactiveMode", "exec.interactiveMode") or "IfAvailable"
    interactive = mode != "Never" and sys.stdin.isatty()
    if mode == "Always" and not interactive:
        raise OperatorError("The kubeconfig's exec plugin asks for a terminal, and there is none.")
    info = _exec_info(version, plugin, interactive, cluster, taken)
    told = {**os.environ, **dict(_variables(plugin)), "KUBERNETES_EXEC_INFO": info}
    try:
        done = subprocess.run(  # noqa: S603 - the administrator's own, which kubectl runs too
            [command, *arguments],
            env=told,
            stdin=None if interactive else subprocess.DEVNULL,
            stdout=subprocess.PIPE,  # what it says to people goes to standard error, which is theirs
            timeout=_EXEC_SECONDS,
            check=False,
        )
    except (OSError, ValueError) as error:
        raise OperatorError(f"The kubeconfig's exec plugin cannot be run: {error}.") from None
    except subprocess.TimeoutExpired:
        raise OperatorError(f"The kubeconfig's exec plugin did not answer within {_EXEC_SECONDS} s.") from None
    if done.returncode != 0:
        raise OperatorError(f"The kubeconfig's exec plugin ended with exit code {done.returncode}.")
    return _read_credential(name, version, done.stdout)


def _find_program(plugin: Members, folder: Path) -> str:
    command = member_text(plugin, "command", "exec.command") or ""
    # As kubectl: a path is relative to the file, a plain name is looked up.
    path = str(folder / command) if "/" in command else shutil.which(command)
    if not path or not Path(path).exists():
        hint = member_text(plugin, "installHint", "exec.installHint")
        raise OperatorError(f"The kubeconfig's exec plugin {command!r} is not installed.{f' {hint}' if hint else ''}")
    return path


def _texts(members: Members, name: str) -> list[str]:
    value = members.get(name) or []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise OperatorError(f"`exec.{name}` of the kubeconfig is not a list of texts.")
    return [str(one) for one in value]


def _variables(plugin: Members) -> Iterator[tuple[str, str]]:
    listed = plugin.get("env") or []
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and (name := member_text(one, "name", "exec.env.name")):
            yield name, member_text(one, "value", "exec.env.value") or ""


def _exec_info(version: str, plugin: Members, interactive: bool, cluster: _Entry, taken: KubeconfigCluster) -> str:
    spec: dict[str, Any] = {"interactive": interactive}
    if (member_text(plugin, "provideClusterInfo", "exec.provideClusterInfo") or "false").lower() == "true":
        spec["cluster"] = _cluster_info(cluster, taken)
    return json.dumps({"apiVersion": version, "kind": "ExecCredential", "spec": spec})


def _cluster_info(cluster: _Entry, taken: KubeconfigCluster) -> dict[str, Any]:
    info: dict[str, Any] = {"server": taken.server}
    if taken.certificate_authority is not None:
        info["certificate-authority-data"] = base64.b64encode(taken.certificate_authority).decode()
    if taken.tls_server_name:
        info["tls-server-name"] = taken.tls_server_name
    for one in cluster.members.get("extensions") or ():
        if isinstance(one, dict) and one.get("name") == "client.authentication.k8s.io/exec":
            info["config"] = one.get("extension")
    return info


def _read_credential(name: str, version: str, output: bytes) -> KubeconfigUser:
    """The user that an ExecCredential describes; nothing of it is repeated in an error."""
    told = "The kubeconfig's exec plugin answered"
    if len(output) > _LARGEST_CREDENTIAL_BYTES:
        raise OperatorError(f"{told} more than {_LARGEST_CREDENTIAL_BYTES} bytes.")
    try:
        document = json.loads(output)
    except ValueError:
        raise OperatorError(f"{told} no JSON: wanted is an ExecCredential.") from None
    status = document.get("status") if isinstance(document, dict) else None
    if not isinstance(status, Mapping) or document.get("kind") != "ExecCredential":
        raise OperatorError(f"{told} no ExecCredential with a status.")
    if document.get("apiVersion") != version:
        raise OperatorError(f"{told} another apiVersion than the kubeconfig asks for.")
    token, certificate, key = (status.get(one) for one in ("token", "clientCertificateData", "clientKeyData"))
    if not all(one is None or isinstance(one, str) for one in (token, certificate, key)):
        raise OperatorError(f"{told} a credential that is no text.")
    return KubeconfigUser(
        name, certificate.encode() if certificate else None, key.encode() if key else None, (), token or None
    )
