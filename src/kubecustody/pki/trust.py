"""Whether an API server with a given client CA bundle would take a certificate, time apart.

The rules are those of Go's crypto/x509 `Verify` with KeyUsages {ClientAuth}, which kube-apiserver calls with
its client CA bundle as roots and the client's other certificates as intermediates (read for Go 1.26;
kubernetes.io/docs/reference/access-authn-authz/authentication/, "X509 client certificates"). The default
verifier of `cryptography` is no judge here: it refuses certificates without SAN or AKI, which Kubernetes takes.

    1  the leaf itself must be sound: no critical extension that Go does not handle, a key that TLS takes
    2  a leaf that is a member of the bundle is a chain of its own
    3  else parents are sought by name, bundle first, then intermediates; each must have signed its child with
       an algorithm that Go takes, be allowed to sign, and keep its path length
    4  of the chains found, those count whose every certificate allows client authentication
    5  the subject must have a CN, else the API server sees system:anonymous

Two things of Go are not judged but refused as `unsupported`: name constraints above a certificate with SAN,
and policy constraints or mappings below the root. Refusing is the safe side: the certificate then counts as
one that may get in and that nobody vouches for.

The caller still owes the time: `chain_ends_at`, and the leaf's own not_before.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID

from kubecustody.core.errors import OperatorError
from kubecustody.pki.certificates import Certificate, load_certificates
from kubecustody.pki.subjects import MASTERS_GROUP

MAX_CHAIN_LENGTH = 8
MAX_SIGNATURE_CHECKS = 100

CLIENT_USAGES = frozenset(
    {ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string}
)
SIGNATURES_OF_GO = frozenset(
    {
        SignatureAlgorithmOID.RSA_WITH_SHA256,
        SignatureAlgorithmOID.RSA_WITH_SHA384,
        SignatureAlgorithmOID.RSA_WITH_SHA512,
        SignatureAlgorithmOID.RSASSA_PSS,
        SignatureAlgorithmOID.ECDSA_WITH_SHA256,
        SignatureAlgorithmOID.ECDSA_WITH_SHA384,
        SignatureAlgorithmOID.ECDSA_WITH_SHA512,
        SignatureAlgorithmOID.ED25519,
    }
)
WEAK_SIGNATURES = frozenset(
    {
        SignatureAlgorithmOID.RSA_WITH_MD5,
        SignatureAlgorithmOID.RSA_WITH_SHA1,
        x509.ObjectIdentifier("1.3.14.3.2.29"),  # an older name of sha1WithRSA
        SignatureAlgorithmOID.ECDSA_WITH_SHA1,
        SignatureAlgorithmOID.DSA_WITH_SHA1,
    }
)
CURVES_OF_GO = (ec.SECP224R1, ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
# crypto/rsa refuses less since Go 1.24, crypto/tls refuses more from a client (checkKeySize).
RSA_BITS = range(1024, 8192 + 1)


class BundleUnusable(OperatorError):
    """A client CA bundle has a member that is no CA."""


class TrustCode(StrEnum):
    """What a verdict rests on."""

    CHAINS = "chains"
    NO_CLIENT_CA = "no_client_ca"
    UNKNOWN_AUTHORITY = "unknown_authority"
    UNFIT_AUTHORITY = "unfit_authority"
    WRONG_KEY_USAGE = "wrong_key_usage"
    NO_COMMON_NAME = "no_common_name"
    WEAK_SIGNATURE = "weak_signature"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an API server would take the certificate at a time when its whole chain is valid.

    `reason` is one sentence for a person, and holds no text of the certificate's maker. `chain_ends_at` (unix
    seconds, itself still valid) is the earliest not_after of the chain, leaf and root included, because Go
    checks the validity of each; of several chains it is that of the one that ends last. None if not vouched.
    """

    vouched: bool
    code: TrustCode
    reason: str
    chain_ends_at: int | None = None
    passes_every_authorizer: bool = False


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why something was refused."""

    code: TrustCode
    reason: str


NO_NAMESAKE = Flaw(TrustCode.UNKNOWN_AUTHORITY, "No certificate of the cluster's client CA is its issuer.")
NOT_THE_SIGNER = Flaw(
    TrustCode.UNKNOWN_AUTHORITY,
    "The cluster's client CA has the name of its issuer, but not the key that signed it.",
)
SELF_SIGNED = Flaw(TrustCode.UNKNOWN_AUTHORITY, "It is signed by itself and is not in the cluster's client CA bundle.")
TOO_MANY_CHECKS = Flaw(
    TrustCode.UNKNOWN_AUTHORITY,
    f"No chain to the cluster's client CA was found within {MAX_SIGNATURE_CHECKS} signature checks.",
)


def load_bundle(pem: bytes | str) -> tuple[Certificate, ...]:
    """The members of a client CA bundle, each once, 1 to 100. Raises CertificateUnreadable, BundleUnusable."""
    members = load_certificates(pem.encode() if isinstance(pem, str) else pem)
    for position, member in enumerate(members, 1):
        if not member.may_be_authority:
            raise BundleUnusable(
                f"Certificate {position} of {len(members)} in the client CA bundle is no CA (its fingerprint is "
                f"{member.fingerprint_hex}): leave it out, and give the CA that signs client certificates."
            )
    return tuple({member.fingerprint: member for member in members}.values())


def assess(leaf: Certificate, intermediates: Sequence[Certificate], bundle: Sequence[Certificate]) -> Verdict:
    """The verdict on a leaf; `intermediates` are what the holder's file carries beside it, in any order."""
    if not bundle:
        return _refusal(Flaw(TrustCode.NO_CLIENT_CA, "The client CA that the cluster trusts is not known."))
    flaw = _flaw_of_leaf(leaf)
    if flaw is not None:
        return _refusal(flaw)
    search = _Search(_by_subject(bundle), _by_subject(intermediates))
    chains = search.chains_from(leaf, in_bundle=any(leaf.der == member.der for member in bundle))
    if not chains:
        return _refusal(search.flaw)
    return _verdict_on_chains(leaf, chains)


def root_keys(
    leaf: Certificate, intermediates: Sequence[Certificate], bundle: Sequence[Certificate]
) -> frozenset[bytes]:
    """The keys (SHA-256) of those members of the bundle in which a chain of the leaf ends, whatever its fitness."""
    search = _Search(_by_subject(bundle), _by_subject(intermediates))
    chains = search.chains_from(leaf, in_bundle=any(leaf.der == member.der for member in bundle))
    return frozenset(chain[-1].key_sha256 for chain in chains)


def _verdict_on_chains(leaf: Certificate, chains: Sequence[Sequence[Certificate]]) -> Verdict:
    flaws = [_flaw_of_chain(chain) for chain in chains]
    fit = [chain for chain, flaw in zip(chains, flaws, strict=True) if flaw is None]
    if not fit:
        return _refusal(next(flaw for flaw in flaws if flaw is not None))
    if leaf.common_name is None:
        return _refusal(Flaw(TrustCode.NO_COMMON_NAME, "It has no CN: the API server would see system:anonymous."))
    return Verdict(
        vouched=True,
        code=TrustCode.CHAINS,
        reason="It chains to the cluster's client CA.",
        chain_ends_at=max(min(one.not_after for one in chain) for chain in fit),
        passes_every_authorizer=MASTERS_GROUP in leaf.organizations,
    )


def _refusal(flaw: Flaw) -> Verdict:
    return Verdict(vouched=False, code=flaw.code, reason=flaw.reason)


@dataclass(slots=True)
class _Search:
    """A walk from a leaf up to the roots that keeps every chain, and the best reason for having none."""

    roots: Mapping[bytes, Sequence[Certificate]]
    intermediates: Mapping[bytes, Sequence[Certificate]]
    checks_left: int = MAX_SIGNATURE_CHECKS
    flaw: Flaw = NO_NAMESAKE
    chains: list[tuple[Certificate, ...]] = field(default_factory=list)

    def chains_from(self, leaf: Certificate, *, in_bundle: bool) -> list[tuple[Certificate, ...]]:
        """Every chain from the leaf to a root, at most 8 certificates long; the leaf comes first."""
        if in_bundle:
            return [(leaf,)]
        self._walk((leaf,))
        if leaf.subject_der == leaf.issuer_der and self.flaw in (NO_NAMESAKE, NOT_THE_SIGNER):
            self.flaw = SELF_SIGNED
        return self.chains

    def _walk(self, chain: tuple[Certificate, ...]) -> None:
        for parent, is_root in self._namesakes(chain[-1].issuer_der):
            if self.checks_left == 0:
                self._remember(TOO_MANY_CHECKS)
                return
            self.checks_left -= 1
            if _already_in(parent, chain):
                continue
            flaw = _flaw_of_parent(parent, chain, is_root=is_root)
            if flaw is not None:
                self._remember(flaw)
            elif is_root:
                self.chains.append((*chain, parent))
            elif len(chain) + 1 < MAX_CHAIN_LENGTH:
                self._walk((*chain, parent))

    def _namesakes(self, name: bytes) -> Iterator[tuple[Certificate, bool]]:
        for root in self.roots.get(name, ()):
            yield root, True
        for intermediate in self.intermediates.get(name, ()):
            yield intermediate, False

    def _remember(self, flaw: Flaw) -> None:
        # The first flaw that says more than "another CA of this name signed it" is what helps a person.
        if self.flaw is NO_NAMESAKE or (self.flaw is NOT_THE_SIGNER and flaw is not NOT_THE_SIGNER):
            self.flaw = flaw


def _by_subject(certificates: Iterable[Certificate]) -> Mapping[bytes, list[Certificate]]:
    found: defaultdict[bytes, list[Certificate]] = defaultdict(list)
    for certificate in {one.fingerprint: one for one in certificates}.values():
        found[certificate.subject_der].append(certificate)
    return found


def _already_in(candidate: Certificate, chain: Iterable[Certificate]) -> bool:
    """Whether a chain holds a certificate of the same subject, key and SAN: Go's guard against circles."""
    return any(
        candidate.subject_der == one.subject_der
        and candidate.public_key_der == one.public_key_der
        and candidate.alternative_names_der == one.alternative_names_der
        for one in chain
    )


def _flaw_of_leaf(leaf: Certificate) -> Flaw | None:
    if leaf.unhandled_critical:
        return _unhandled(leaf)
    if not _takes_key(leaf):
        return Flaw(TrustCode.UNSUPPORTED, "Its key is of a kind or size that the API server does not take.")
    return None


def _flaw_of_parent(parent: Certificate, chain: Sequence[Certificate], *, is_root: bool) -> Flaw | None:
    child = chain[-1]
    return (
        _flaw_of_algorithm(child)
        or _flaw_of_signature(child, parent)
        or _flaw_of_authority(parent, is_root=is_root, intermediates_below=len(chain) - 1)
    )


def _flaw_of_algorithm(child: Certificate) -> Flaw | None:
    algorithm = child.parsed.signature_algorithm_oid
    if algorithm in WEAK_SIGNATURES:
        return Flaw(TrustCode.WEAK_SIGNATURE, "Its chain rests on a SHA-1 or MD5 signature.")
    if algorithm not in SIGNATURES_OF_GO or not _takes_parameters(child):
        return Flaw(TrustCode.UNSUPPORTED, "Its chain has a signature of a kind that the API server does not take.")
    return None


def _takes_parameters(child: Certificate) -> bool:
    """Whether RSASSA-PSS has the parameters that Go takes: one hash, and a salt of its length (x509.go)."""
    if child.parsed.signature_algorithm_oid != SignatureAlgorithmOID.RSASSA_PSS:
        return True
    try:
        parameters = child.parsed.signature_algorithm_parameters
        digest = child.parsed.signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        return False
    if digest is None or digest.name not in ("sha256", "sha384", "sha512"):
        return False
    return parameters == padding.PSS(padding.MGF1(digest), digest.digest_size)


def _flaw_of_signature(child: Certificate, parent: Certificate) -> Flaw | None:
    if not _takes_key(parent):
        return Flaw(TrustCode.UNSUPPORTED, "A CA of its chain has a key that the API server does not take.")
    try:
        child.parsed.verify_directly_issued_by(parent.parsed)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return NOT_THE_SIGNER
    return None


def _flaw_of_authority(parent: Certificate, *, is_root: bool, intermediates_below: int) -> Flaw | None:
    # A root of version 1 passes in Go (CheckSignatureFrom), an intermediate of version 1 does not (isValid).
    if not (parent.may_be_authority if is_root else parent.is_ca):
        return Flaw(TrustCode.UNFIT_AUTHORITY, "What signed it is no CA (basicConstraints).")
    if parent.signs_certificates is False:
        return Flaw(TrustCode.UNFIT_AUTHORITY, "The CA that signed it may not sign certificates (key usage).")
    if parent.unhandled_critical:
        return _unhandled(parent)
    if parent.path_length is not None and intermediates_below > parent.path_length:
        return Flaw(TrustCode.UNFIT_AUTHORITY, "Its chain has more CAs than one of them allows (pathlen).")
    return None


def _flaw_of_chain(chain: Sequence[Certificate]) -> Flaw | None:
    if not all(_allows_clients(one) for one in chain):
        return Flaw(TrustCode.WRONG_KEY_USAGE, "It, or a CA of its chain, is not for client authentication.")
    if any(one.constrains_policies for one in chain[:-1]):
        return Flaw(TrustCode.UNSUPPORTED, "Its chain has policy constraints, which are not judged here.")
    if any(
        one.constrains_names and any(below.alternative_names_der for below in chain[:height])
        for height, one in enumerate(chain)
    ):
        return Flaw(TrustCode.UNSUPPORTED, "Its chain has name constraints, which are not judged here.")
    return None


def _allows_clients(certificate: Certificate) -> bool:
    usages = certificate.extended_key_usage
    return not usages or not CLIENT_USAGES.isdisjoint(usages)


def _unhandled(certificate: Certificate) -> Flaw:
    oids = ", ".join(certificate.unhandled_critical)
    return Flaw(TrustCode.UNSUPPORTED, f"Its chain has a critical extension that the API server refuses ({oids}).")


def _takes_key(certificate: Certificate) -> bool:
    try:
        key = certificate.parsed.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False
    if isinstance(key, ec.EllipticCurvePublicKey):
        return isinstance(key.curve, CURVES_OF_GO)
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size in RSA_BITS
    return isinstance(key, ed25519.Ed25519PublicKey)
