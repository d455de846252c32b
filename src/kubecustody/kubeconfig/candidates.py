"""What a file of any known kind offers for import: client certificates, or why there is none.

A kubeconfig, PEM, DER, and base64 of PEM or DER are told apart by their first bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from kubecustody.core.errors import OperatorError
from kubecustody.kubeconfig.document import KubeconfigUser, parse_kubeconfig
from kubecustody.pki.certificates import (
    MAX_FILE_BYTES,
    Certificate,
    PrivateKeyUnreadable,
    has_pem,
    holds_private_key,
    is_base64,
    is_der,
    key_matches,
    load_certificates,
    load_private_key,
    private_key_pem,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One certificate of a file with what came beside it, or a refusal: exactly one of both is there.

    `label` is the file's name, and for a kubeconfig the user's name too. `private_key` is PEM, and there only
    if it belongs to the leaf; `remarks` says why a key that came along is left out.
    """

    label: str
    leaf: Certificate | None = None
    intermediates: tuple[Certificate, ...] = ()
    private_key: bytes | None = field(default=None, repr=False)
    remarks: tuple[str, ...] = ()
    refusal: str | None = None


def read_candidates(data: bytes, name: str) -> list[Candidate]:
    """At least one candidate of a file called `name`, in the order of the file. Raises nothing."""
    try:
        if len(data) <= MAX_FILE_BYTES and (has_pem(data) or is_der(data) or is_base64(data)):
            return _of_certificates(data, name)
        return [_of_user(user, name) for user in parse_kubeconfig(data).users]
    except OperatorError as fault:
        return [Candidate(name, refusal=str(fault))]


def _of_certificates(data: bytes, name: str) -> list[Candidate]:
    """A candidate for each certificate that is no CA; with none but CAs, the first is taken for a leaf."""
    certificates = load_certificates(data)
    # People put a CA before the leaf as well as after it; only a kubeconfig has an order that counts.
    leaves = [one for one in certificates if not one.is_ca] or certificates[:1]
    others = tuple(one for one in certificates if one not in leaves)
    key = data if holds_private_key(data) else None
    if len(leaves) == 1:
        return [_candidate(name, leaves[0], others, key, ())]
    labels = [f"{name}: certificate {certificates.index(leaf) + 1}" for leaf in leaves]
    return [
        _candidate(label, leaf, others, _only_if_its_own(leaf, key), ())
        for label, leaf in zip(labels, leaves, strict=True)
    ]


def _only_if_its_own(leaf: Certificate, key: bytes | None) -> bytes | None:
    """A file with several certificates has a key for one of them at most; that is nothing to remark on."""
    return key if key is not None and _key_of(leaf, key)[0] is not None else None


def _of_user(user: KubeconfigUser, name: str) -> Candidate:
    label = f"{name}: {user.name}"
    if user.client_certificate is None:
        return Candidate(label, refusal=" ".join(user.faults))
    try:
        # The first is the leaf, as in the TLS handshake that a client makes of it.
        leaf, *others = load_certificates(user.client_certificate)
    except OperatorError as fault:
        return Candidate(label, refusal=f"client-certificate-data: {fault}")
    return _candidate(label, leaf, others, user.client_key, user.faults)


def _candidate(
    label: str,
    leaf: Certificate,
    intermediates: Sequence[Certificate],
    key: bytes | None,
    remarks: tuple[str, ...],
) -> Candidate:
    private_key, fault = (None, None) if key is None else _key_of(leaf, key)
    remarks = remarks if fault is None else (*remarks, fault)
    return Candidate(label, leaf, tuple(intermediates), private_key, remarks)


def _key_of(leaf: Certificate, key: bytes) -> tuple[bytes | None, str | None]:
    """The key as PEM if it is the leaf's, else what is wrong with it."""
    try:
        if key_matches(leaf, load_private_key(key)):
            return private_key_pem(key), None
    except PrivateKeyUnreadable as fault:
        return None, str(fault)
    return None, "The private key belongs to another certificate, and is left out."
