"""What lies below a folder: every user of every kubeconfig and every client certificate, on the machine itself.

Unlike the server, this follows the file names of a kubeconfig, since here they are the reader's own. Nothing is run,
no host is asked, and no link to a folder is followed. Of a private key only whether it is there and belongs to the
certificate is told.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.x509.oid import ExtendedKeyUsageOID

from kubecustody.core.errors import OperatorError
from kubecustody.kubeconfig.document import KubeconfigDocument, KubeconfigUser, parse_kubeconfig
from kubecustody.pki.certificates import (
    Certificate,
    CertificateUnreadable,
    PemBlock,
    PrivateKeyUnreadable,
    has_pem,
    holds_private_key,
    is_der,
    key_matches,
    load_certificate_der,
    load_certificates,
    load_private_key,
    pem_blocks,
)
from kubecustody.pki.subjects import remarkable_groups

MAX_KUBECONFIG_BYTES: Final = 16 * 1024 * 1024
_MAX_PEM_BYTES: Final = 1024 * 1024
_SNIFFED_BYTES: Final = 64 * 1024
# Files in there are made up by the kernel as they are read.
_NOT_ENTERED: Final = ("/proc", "/sys", "/dev")

_LISTS = re.compile(rb"""(?:^|[\s,{])["']?(clusters|users|contexts)["']?\s*:""")
_CONFIG = re.compile(rb"""(?:^|[\s,{])["']?kind["']?\s*:\s*["']?Config["']?\s*(?:[,}\r\n#]|$)""")
_CLIENT_MEMBERS = re.compile(rb"certificate-authority|client-certificate|client-key")
_LOGIN = re.compile(r"(?<=://)[^/@]*@")
_CLIENT_USAGES = {
    ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string,
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string,
}


@dataclass(frozen=True, slots=True)
class Found:
    """One way into one cluster, or a file that cannot be read (then `unreadable` says why, and nothing else is there).

    mode: of the file that holds the key, else of `path`. key: embedded | file | missing, and None where no certificate
    is. exposed: others than the owner may read a file with a secret in it.
    """

    path: Path
    mode: int | None = None
    user: str | None = None
    cluster: str | None = None
    server: str | None = None
    contexts: tuple[str, ...] = ()
    certificate: Certificate | None = field(default=None, repr=False)
    key: str | None = None
    exposed: bool = False
    remarks: tuple[str, ...] = ()
    unreadable: str | None = None


def scan(paths: Iterable[Path]) -> Iterator[Found]:
    """What the files hold, and those below the folders, each file once, in the order of their paths."""
    seen: set[tuple[int, int]] = set()
    for path in paths:
        for file in [path] if not path.is_dir() else _files_below(path):
            if isinstance(file, Found):
                yield file
            else:
                yield from _read(file, seen)


def _files_below(folder: Path) -> Iterator[Path | Found]:
    waiting: list[tuple[Path, bool]] = [(folder, True)]
    while waiting:
        path, is_folder = waiting.pop()
        if not is_folder:
            yield path
        elif str(path.absolute()) not in _NOT_ENTERED:
            try:
                with os.scandir(path) as entries:
                    below = sorted(entries, key=lambda entry: entry.name, reverse=True)
            except OSError as error:
                yield Found(path, unreadable=f"The folder cannot be read: {_told(error)}.")
            else:
                waiting += [(Path(entry.path), entry.is_dir(follow_symlinks=False)) for entry in below]


def _read(path: Path, seen: set[tuple[int, int]]) -> Iterator[Found]:
    try:
        opened = _open(path)
        if opened is None:
            return
        with os.fdopen(opened, "rb") as file:
            status = os.fstat(file.fileno())
            if (status.st_dev, status.st_ino) in seen:
                return
            seen.add((status.st_dev, status.st_ino))
            head = file.read(_SNIFFED_BYTES)
            if not _is_of_interest(head):
                return
            whole = head + file.read(MAX_KUBECONFIG_BYTES + 1 - len(head))
    except OSError as error:
        yield Found(path, unreadable=f"The file cannot be read: {_told(error)}.")
        return
    mode = stat.S_IMODE(status.st_mode)
    if has_pem(whole) or is_der(whole):
        yield from _of_certificates(path, mode, whole)
    elif _looks_like_kubeconfig(head, whole):
        yield from _of_kubeconfig(path, mode, whole)


def _open(path: Path) -> int | None:
    """A regular file that has something in it; None for anything else. A pipe must not be waited for."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
    except FileNotFoundError:
        return None  # a link to nowhere, or gone meanwhile
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def _told(error: OSError) -> str:
    return error.strerror or type(error).__name__


def _is_of_interest(head: bytes) -> bool:
    return has_pem(head) or is_der(head) or (b"\0" not in head and bool(_LISTS.search(head) or _CONFIG.search(head)))


def _looks_like_kubeconfig(head: bytes, whole: bytes) -> bool:
    if len(whole) > MAX_KUBECONFIG_BYTES:
        return bool(_CONFIG.search(head) or _CLIENT_MEMBERS.search(head))
    lists = {match[1] for match in _LISTS.finditer(whole)}
    return b"users" in lists and (b"clusters" in lists or bool(_CONFIG.search(whole)))


# --- kubeconfigs


def _of_kubeconfig(path: Path, mode: int, data: bytes) -> Iterator[Found]:
    try:
        document = parse_kubeconfig(data, max_bytes=MAX_KUBECONFIG_BYTES)
    except OperatorError as fault:
        yield Found(path, mode, unreadable=str(fault))
        return
    for user in document.users:
        yield from _of_user(path, mode, document, user)


def _of_user(path: Path, mode: int, document: KubeconfigDocument, user: KubeconfigUser) -> Iterator[Found]:
    """One for each cluster that a context joins the user to; one without a cluster where no context does."""
    certificate, key, key_mode, remarks = _credential_of(path, user)
    secret_in_file = user.client_key is not None or user.token is not None
    exposed = (secret_in_file and _is_open(mode)) or (key_mode is not None and _is_open(key_mode))
    servers = {cluster.name: cluster.server for cluster in document.clusters}
    own = [context for context in document.contexts if context.user == user.name]
    for cluster in dict.fromkeys(context.cluster for context in own) or {None: None}:
        server = servers.get(cluster) if cluster is not None else None
        yield Found(
            path,
            mode if key_mode is None else key_mode,
            user.name,
            cluster,
            None if server is None else _LOGIN.sub("", server),
            tuple(context.name for context in own if context.cluster == cluster),
            certificate,
            key,
            exposed,
            remarks if own else (*remarks, "No context uses it."),
        )


def _credential_of(
    path: Path, user: KubeconfigUser
) -> tuple[Certificate | None, str | None, int | None, tuple[str, ...]]:
    """The certificate, where its key is, the mode of a key in a file of its own, and remarks."""
    remarks: list[str] = []
    data = user.client_certificate
    if data is None and user.certificate_file is not None:
        data = _read_beside(path, user.certificate_file, "client-certificate", remarks)
    elif data is None:
        return None, None, None, user.faults
    try:
        certificate = load_certificates(data)[0] if data is not None else None
    except OperatorError as fault:
        remarks.append(f"client-certificate: {fault}")
        certificate = None
    if certificate is None:
        return None, None, None, tuple(remarks)
    if user.client_key is not None:
        return certificate, _judge_key(certificate, user.client_key, "embedded", remarks), None, tuple(remarks)
    if user.key_file is None:
        return certificate, "missing", None, tuple(remarks)
    key = _read_beside(path, user.key_file, "client-key", remarks)
    key_mode = _find_mode(path.parent / user.key_file)
    return certificate, _judge_key(certificate, key, "file", remarks), key_mode, tuple(remarks)


def _read_beside(path: Path, name: str, member: str, remarks: list[str]) -> bytes | None:
    """The file that a kubeconfig names, relative to itself, as kubectl reads it."""
    try:
        opened = _open(path.parent / name)
        if opened is None:
            remarks.append(f"The file that {member} names is not there.")
            return None
        with os.fdopen(opened, "rb") as file:
            return file.read(_MAX_PEM_BYTES + 1)
    except (OSError, ValueError) as error:
        told = _told(error) if isinstance(error, OSError) else "its name has a NUL"
        remarks.append(f"The file that {member} names cannot be read: {told}.")
        return None


def _find_mode(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except (OSError, ValueError):
        return None


def _judge_key(certificate: Certificate, key: bytes | None, where: str, remarks: list[str]) -> str:
    if key is None:
        return "missing"
    try:
        if key_matches(certificate, load_private_key(key)):
            return where
        remarks.append("The private key belongs to another certificate.")
    except PrivateKeyUnreadable as fault:
        remarks.append(str(fault))
        return where if holds_private_key(key) else "missing"
    return "missing"


# --- certificates


def _of_certificates(path: Path, mode: int, data: bytes) -> Iterator[Found]:
    """One for each client certificate of a file; certificates of CAs and of servers, and keys alone, are none."""
    for certificate in _certificates_in(data):
        if isinstance(certificate, str):
            yield Found(path, mode, unreadable=certificate)
        elif not certificate.is_ca and _is_for_clients(certificate):
            remarks: list[str] = []
            if holds_private_key(data):
                key, key_mode = _judge_key(certificate, data, "embedded", remarks), mode
            else:
                key, key_mode = _find_key_beside(path, certificate)
            exposed = key != "missing" and _is_open(key_mode)
            yield Found(path, key_mode, certificate=certificate, key=key, exposed=exposed, remarks=tuple(remarks))


def _certificates_in(data: bytes) -> Iterator[Certificate | str]:
    """Each certificate, or why it cannot be read; a bundle may have any number. DER may be other things too."""
    if is_der(data):
        with suppress(OperatorError):
            yield load_certificate_der(data)
        return
    try:
        for block in pem_blocks(data):
            if block.label == "CERTIFICATE":
                yield _certificate_of(block)
    except CertificateUnreadable as fault:
        if b"-----BEGIN CERTIFICATE-----" in data:
            yield str(fault)


def _certificate_of(block: PemBlock) -> Certificate | str:
    try:
        return load_certificate_der(block.content())
    except ValueError:
        return "A CERTIFICATE block is not base64."
    except OperatorError as fault:
        return str(fault)


def _is_for_clients(certificate: Certificate) -> bool:
    """Whether its usage says so; where it says nothing, whether it names no host, as those of servers do."""
    if not certificate.extended_key_usage:
        return certificate.alternative_names_der is None
    return not _CLIENT_USAGES.isdisjoint(certificate.extended_key_usage)


def _find_key_beside(path: Path, certificate: Certificate) -> tuple[str, int]:
    """Whether a file of the usual names beside holds the key, and the mode of that file, else of the certificate's."""
    for name in (f"{path.stem}.key", f"{path.stem}-key.pem", f"{path.stem}.key.pem", f"{path.name}.key"):
        remarks: list[str] = []
        key = _read_beside(path, name, "", remarks)
        if key is not None and _judge_key(certificate, key, "file", remarks) == "file":
            return "file", _find_mode(path.parent / name) or 0
    return "missing", _find_mode(path) or 0


def _is_open(mode: int) -> bool:
    return bool(mode & 0o077)


def masters_of(found: Found) -> tuple[str, ...]:
    """The groups of a certificate that reach beyond a person's own rights."""
    return remarkable_groups(found.certificate.organizations) if found.certificate is not None else ()
