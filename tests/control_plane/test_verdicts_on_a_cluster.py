"""The verdict on every property of a certificate chain is the API server's own."""

from collections.abc import Iterator

import pytest

from control_plane.control_plane import ControlPlane
from control_plane.identities import Identity
from control_plane.waiting import eventually
from kubecustody.pki.certificates import load_certificates
from kubecustody.pki.issuing import PemPair
from kubecustody.pki.trust import TrustCode, Verdict, assess
from pki.matrix import MATRIX, Chain
from pki.openssl import Made, Openssl

pytestmark = pytest.mark.control_plane

NOBODY_CAME = "system:anonymous"
# OpenSSL and Go show no certificate whose signature or key the other end did not offer to take (RFC 8446, 4.4.2.3).
NEVER_SHOWN = {"curve_unknown_to_go", "signed_with_sha224", "signed_with_md5", "root_key_unknown_to_go"}


@pytest.fixture(scope="module")
def makers(tmp_path_factory: pytest.TempPathFactory) -> Openssl:
    return Openssl(tmp_path_factory.mktemp("chains"))


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    yield control_plane
    control_plane.trust()


def identity_of(leaf: Made, *beside: Made) -> Identity:
    certificates = b"".join(one.certificate for one in (leaf, *beside))
    return Identity(PemPair(certificates, leaf.key))


def verdict_on(chain: Chain) -> Verdict:
    leaf, *others = (load_certificates(one.certificate)[0] for one in (chain.leaf, *chain.intermediates, *chain.bundle))
    count = len(chain.intermediates)
    return assess(leaf, others[:count], others[count:])


def trust_exactly(plane: ControlPlane, openssl: Openssl, chain: Chain) -> None:
    """Returns when the API server takes certificates of this chain's bundle, which it reads by itself.

    A CA made for this one time goes with the bundle: when a certificate of that is taken, the bundle is in force.
    """
    mark = openssl.make_ca("/CN=mark")
    plane.trust(*(one.certificate for one in chain.bundle), mark.certificate)
    marked = identity_of(openssl.make("/CN=marked", by=mark))
    eventually(lambda: plane.whoami(marked).status == 201)


def holder_seen_by(plane: ControlPlane, identity: Identity) -> str | None:
    """The user as whom the API server takes a certificate, NOBODY_CAME, or None if it refuses."""
    try:
        answer = plane.whoami(identity)
    except OSError:
        return None  # what Go cannot read as a certificate ends in the handshake
    if answer.status == 201:
        return str(answer.document["username"])
    return {401: None, 403: NOBODY_CAME}[answer.status]


@pytest.mark.parametrize("name", MATRIX)
def test_the_api_server_judges_as_we_do(name: str, plane: ControlPlane, makers: Openssl) -> None:
    chain = MATRIX[name][1](makers)
    trust_exactly(plane, makers, chain)
    verdict = verdict_on(chain)
    refusal = NOBODY_CAME if name in NEVER_SHOWN else None
    expected = load_certificates(chain.leaf.certificate)[0].common_name if verdict.vouched else refusal
    assert holder_seen_by(plane, identity_of(chain.leaf, *chain.intermediates)) == expected, verdict.reason


def test_a_verdict_without_common_name_is_no_holder(plane: ControlPlane, makers: Openssl) -> None:
    """401 here, since this API server, like those of kubeadm, knows a front proxy's CA and tells that it is none of its
    certificates; one without `--requestheader-client-ca-file` takes the holder for nobody (403).
    """
    chain = MATRIX["no_common_name"][1](makers)
    trust_exactly(plane, makers, chain)
    assert verdict_on(chain).code == TrustCode.NO_COMMON_NAME
    assert plane.whoami(identity_of(chain.leaf)).status == 401
