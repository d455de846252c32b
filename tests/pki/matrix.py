"""Every property of a chain that Kubernetes looks at, each changed by itself.

The expected codes are the verdicts of real API servers where those were asked (docs: client certificates), and
Go's own rules for the rest; `test_go_agrees` asks Go about all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

from .openssl import CA, LEAF, Made, Openssl

SUBJECT = "/O=system:users/CN=2111-1795"


@dataclass(frozen=True, slots=True)
class Chain:
    """A leaf, the certificates beside it, and the client CA bundle."""

    leaf: Made
    bundle: tuple[Made, ...]
    intermediates: tuple[Made, ...] = ()


Maker = Callable[[Openssl], Chain]
MATRIX: dict[str, tuple[str, Maker]] = {}


def case(code: str) -> Callable[[Maker], Maker]:
    """Put a maker into the matrix, under its name."""

    def put(maker: Maker) -> Maker:
        MATRIX[maker.__name__] = (code, maker)
        return maker

    return put


def leaf_case(name: str, code: str, **how: object) -> None:
    """A case whose leaf differs from a good one only in `how`."""

    def maker(openssl: Openssl) -> Chain:
        ca = openssl.make_ca()
        arguments = {"subject": SUBJECT, "by": ca, **how}
        return Chain(openssl.make(**arguments), (ca,))  # type: ignore[arg-type]

    MATRIX[name] = (code, maker)


def ca_case(name: str, code: str, **how: object) -> None:
    """A case whose root differs from a good one only in `how`."""

    def maker(openssl: Openssl) -> Chain:
        ca = openssl.make_ca(**how)  # type: ignore[arg-type]
        return Chain(openssl.make(SUBJECT, by=ca), (ca,))

    MATRIX[name] = (code, maker)


def intermediate_case(name: str, code: str, root: str = CA, **how: object) -> None:
    """A case with one intermediate in the holder's file, which differs from a good one only in `how`."""

    def maker(openssl: Openssl) -> Chain:
        ca = openssl.make_ca(extensions=root)
        arguments = {"subject": "/CN=between", "extensions": CA, "by": ca, **how}
        between = openssl.make(**arguments)  # type: ignore[arg-type]
        return Chain(openssl.make(SUBJECT, by=between), (ca,), (between,))

    MATRIX[name] = (code, maker)


BASIC = "basicConstraints=critical,CA:FALSE"
NO_USAGE = f"{BASIC}\nkeyUsage=critical,digitalSignature"
CUSTOM = "1.3.6.1.4.1.55555.1=critical,ASN1:UTF8String:odd"

leaf_case("p256", "chains")
leaf_case("p384", "chains", kind="p384")
leaf_case("rsa_2048", "chains", kind="rsa2048")
leaf_case("ed25519", "chains", kind="ed25519")
leaf_case("with_san", "chains", extensions=f"{LEAF}\nsubjectAltName=DNS:laptop.example,email:a@b.example")
leaf_case("two_organizations", "chains", subject="/O=system:users/O=dev/CN=2111")
leaf_case("no_organization", "chains", subject="/CN=2111")
leaf_case("masters", "chains", subject="/O=system:masters/CN=admin")
leaf_case("usage_absent", "chains", extensions=NO_USAGE)
leaf_case("usage_any", "chains", extensions=f"{NO_USAGE}\nextendedKeyUsage=anyExtendedKeyUsage")
leaf_case("usage_client_and_server", "chains", extensions=f"{NO_USAGE}\nextendedKeyUsage=serverAuth,clientAuth")
leaf_case("leaf_is_ca", "chains", extensions=f"{CA}\nextendedKeyUsage=clientAuth")
leaf_case("no_basic_constraints", "chains", extensions="extendedKeyUsage=clientAuth")
leaf_case("version_1", "chains", extensions="")
leaf_case(
    "key_identifiers", "chains", extensions=f"{LEAF}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid,issuer"
)
leaf_case("unknown_extension", "chains", extensions=f"{LEAF}\n{CUSTOM.replace('critical,', '')}")
leaf_case("critical_usage", "chains", extensions=f"{NO_USAGE}\nextendedKeyUsage=critical,clientAuth")
leaf_case("unicode_name", "chains", subject="/O=system:users/CN=Zoë Müller")
leaf_case("critical_san", "chains", extensions=f"{LEAF}\nsubjectAltName=critical,DNS:a.example")

leaf_case("usage_server_only", "wrong_key_usage", extensions=f"{NO_USAGE}\nextendedKeyUsage=serverAuth")
leaf_case("usage_unknown_only", "wrong_key_usage", extensions=f"{NO_USAGE}\nextendedKeyUsage=1.3.6.1.4.1.55555.2")
leaf_case("no_common_name", "no_common_name", subject="/O=system:users")
leaf_case("critical_unknown_extension", "unsupported", extensions=f"{LEAF}\n{CUSTOM}")
leaf_case("critical_key_identifier", "unsupported", extensions=f"{LEAF}\n2.5.29.14=critical,DER:04:02:01:02")
leaf_case("san_of_unknown_kind_critical", "unsupported", extensions=f"{LEAF}\nsubjectAltName=critical,RID:1.2.3")
leaf_case("curve_unknown_to_go", "unsupported", kind="secp256k1")
leaf_case("signed_with_sha1", "weak_signature", options=("-md", "sha1"))
leaf_case("signed_with_sha224", "unsupported", options=("-md", "sha224"))
leaf_case("signed_with_sha512", "chains", options=("-md", "sha512"))

ca_case("rsa_root", "chains", kind="rsa2048")
ca_case("ed25519_root", "chains", kind="ed25519")
ca_case("rsa_root_too_small", "unsupported", kind="rsa512")
ca_case("root_without_key_usage", "chains", extensions="basicConstraints=critical,CA:TRUE")
ca_case("root_with_pathlen_0", "chains", extensions=CA.replace("TRUE", "TRUE,pathlen:0"))
ca_case("root_signed_with_sha1", "chains", options=("-md", "sha1"))
ca_case("root_for_clients", "chains", extensions=f"{CA}\nextendedKeyUsage=clientAuth")
ca_case("root_for_any", "chains", extensions=f"{CA}\nextendedKeyUsage=anyExtendedKeyUsage")
ca_case("root_of_version_1", "chains", extensions="")
ca_case("root_for_servers", "wrong_key_usage", extensions=f"{CA}\nextendedKeyUsage=serverAuth")
ca_case("root_may_not_sign", "unfit_authority", extensions=CA.replace("keyCertSign,", ""))
ca_case("root_is_no_ca", "unfit_authority", extensions=LEAF)
ca_case("root_without_basic_constraints", "unfit_authority", extensions="keyUsage=keyCertSign")
ca_case("root_with_critical_unknown_extension", "unsupported", extensions=f"{CA}\n{CUSTOM}")
ca_case("root_limits_names_no_san", "chains", extensions=f"{CA}\nnameConstraints=critical,permitted;DNS:a.example")
ca_case(
    "root_limits_directory_names",
    "unsupported",
    extensions=f"{CA}\nnameConstraints=critical,permitted;dirName:dn\n[dn]\nO=x",
)
ca_case("root_key_unknown_to_go", "unsupported", kind="ed448")

intermediate_case("intermediate", "chains")
intermediate_case("intermediate_for_clients", "chains", extensions=f"{CA}\nextendedKeyUsage=clientAuth")
intermediate_case("intermediate_for_servers", "wrong_key_usage", extensions=f"{CA}\nextendedKeyUsage=serverAuth")
intermediate_case("intermediate_is_no_ca", "unfit_authority", extensions=LEAF)
intermediate_case("intermediate_may_not_sign", "unfit_authority", extensions=CA.replace("keyCertSign,", ""))
intermediate_case("intermediate_of_version_1", "unfit_authority", extensions="")
intermediate_case("intermediate_signed_with_sha1", "weak_signature", options=("-md", "sha1"))
intermediate_case("intermediate_critical_unknown", "unsupported", extensions=f"{CA}\n{CUSTOM}")
intermediate_case("pathlen_exceeded", "unfit_authority", root=CA.replace("TRUE", "TRUE,pathlen:0"))
intermediate_case("pathlen_kept", "chains", root=CA.replace("TRUE", "TRUE,pathlen:1"))


@case("chains")
def pss_signature(openssl: Openssl) -> Chain:
    ca = openssl.make_ca(kind="rsa2048")
    options = ("-md", "sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest")
    return Chain(openssl.make(SUBJECT, by=ca, options=options), (ca,))


@case("unsupported")
def pss_signature_with_another_salt(openssl: Openssl) -> Chain:
    ca = openssl.make_ca(kind="rsa2048")
    options = ("-md", "sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:20")
    return Chain(openssl.make(SUBJECT, by=ca, options=options), (ca,))


@case("weak_signature")
def signed_with_md5(openssl: Openssl) -> Chain:
    ca = openssl.make_ca(kind="rsa2048")
    return Chain(openssl.make(SUBJECT, by=ca, options=("-md", "md5")), (ca,))


@case("chains")
def intermediate_as_only_member_of_the_bundle(openssl: Openssl) -> Chain:
    between = openssl.make_ca("/CN=between", by=openssl.make_ca())
    return Chain(openssl.make(SUBJECT, by=between), (between,))


@case("chains")
def two_intermediates_in_any_order(openssl: Openssl) -> Chain:
    ca = openssl.make_ca()
    upper = openssl.make_ca("/CN=upper", by=ca)
    lower = openssl.make_ca("/CN=lower", by=upper)
    return Chain(openssl.make(SUBJECT, by=lower), (ca,), (upper, ca, lower))


@case("chains")
def leaf_in_the_bundle(openssl: Openssl) -> Chain:
    leaf = openssl.make(SUBJECT)
    return Chain(leaf, (openssl.make_ca(), leaf))


@case("chains")
def several_authorities_of_one_name(openssl: Openssl) -> Chain:
    first, second, third = (openssl.make_ca() for _ in range(3))
    return Chain(openssl.make(SUBJECT, by=second), (first, second, third))


@case("chains")
def authority_renewed_with_its_key(openssl: Openssl) -> Chain:
    old = openssl.make_ca()
    renewed = openssl.make_ca(key=old.key_path)
    return Chain(openssl.make(SUBJECT, by=old), (renewed,))


@case("chains")
def cross_signed_authorities(openssl: Openssl) -> Chain:
    old, new = openssl.make_ca("/CN=old"), openssl.make_ca("/CN=new")
    new_by_old = openssl.make_ca("/CN=new", by=old, key=new.key_path)
    old_by_new = openssl.make_ca("/CN=old", by=new, key=old.key_path)
    return Chain(openssl.make(SUBJECT, by=new), (old,), (new_by_old, old_by_new))


@case("unknown_authority")
def other_authority(openssl: Openssl) -> Chain:
    return Chain(openssl.make(SUBJECT, by=openssl.make_ca("/CN=other")), (openssl.make_ca(),))


@case("unknown_authority")
def other_authority_of_the_same_name(openssl: Openssl) -> Chain:
    return Chain(openssl.make(SUBJECT, by=openssl.make_ca()), (openssl.make_ca(),))


@case("unknown_authority")
def self_signed(openssl: Openssl) -> Chain:
    return Chain(openssl.make(SUBJECT), (openssl.make_ca(),))


@case("unknown_authority")
def intermediate_missing(openssl: Openssl) -> Chain:
    ca = openssl.make_ca()
    return Chain(openssl.make(SUBJECT, by=openssl.make_ca("/CN=between", by=ca)), (ca,))


@case("unknown_authority")
def intermediate_stands_for_no_root(openssl: Openssl) -> Chain:
    between = openssl.make_ca("/CN=between", by=openssl.make_ca("/CN=elsewhere"))
    return Chain(openssl.make(SUBJECT, by=between), (openssl.make_ca(),), (between,))
