"""The chain verdict against certificates made by openssl, and against Go's own verdict."""

import dataclasses
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from kubecustody.pki.certificates import Certificate, CertificateUnreadable, load_certificates
from kubecustody.pki.trust import BundleUnusable, TrustCode, Verdict, assess, load_bundle

from .matrix import MATRIX, SUBJECT, Chain
from .openssl import CA, LEAF, Made, Openssl

NOW = 1_795_500_000  # 24 November 2026, within the validity of whatever the matrix makes


def load(made: Made) -> Certificate:
    return load_certificates(made.certificate)[0]


def verdict_on(chain: Chain) -> Verdict:
    return assess(load(chain.leaf), [*map(load, chain.intermediates)], [*map(load, chain.bundle)])


def seconds(year: int) -> int:
    return {2027: 1_798_761_600, 2028: 1_830_297_600, 2029: 1_861_920_000}[year]


@pytest.mark.parametrize("name", MATRIX)
def test_each_property_alone_decides_as_on_an_api_server(name: str, chain_of: Callable[[str], Chain]) -> None:
    verdict = verdict_on(chain_of(name))
    assert verdict.code == MATRIX[name][0], verdict.reason
    assert verdict.vouched == (verdict.code == TrustCode.CHAINS)
    assert (verdict.chain_ends_at is not None) == verdict.vouched
    assert verdict.reason.endswith(".")


@pytest.fixture(scope="module")
def go_verdict(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = Path(__file__).parents[2] / "scripts/go"
    if subprocess.run([go, "version"], capture_output=True).returncode != 0:
        missing = "GO IS ABSENT: the verdicts are not compared with Go's crypto/x509"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    program = tmp_path_factory.mktemp("go") / "goverdict"
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "GOPROXY": "off"}
    source = Path(__file__).parent / "go_verdict"
    subprocess.run([go, "build", "-o", program, "."], cwd=source, env=environment, check=True)
    return program


def ask_go(program: Path, questions: Sequence[tuple[Chain, int]]) -> Iterator[tuple[str, str]]:
    """(verdict, detail) of Go for each chain at a time."""
    asked = [
        {
            "Leaf": chain.leaf.certificate.decode(),
            "Intermediates": "".join(one.certificate.decode() for one in chain.intermediates),
            "Roots": "".join(one.certificate.decode() for one in chain.bundle),
            "Now": now,
        }
        for chain, now in questions
    ]
    done = subprocess.run([program], input=json.dumps(asked).encode(), capture_output=True, check=True)
    for answer in json.loads(done.stdout):
        yield answer["Verdict"], answer["Detail"]


@pytest.mark.control_plane
def test_go_agrees_on_every_property(go_verdict: Path, chain_of: Callable[[str], Chain]) -> None:
    chains = {name: chain_of(name) for name in MATRIX}
    answers = ask_go(go_verdict, [(chain, NOW) for chain in chains.values()])
    differing = {
        name: (answer, verdict_on(chain).code)
        for (name, chain), answer in zip(chains.items(), answers, strict=True)
        if (answer[0] == "accepted") != verdict_on(chain).vouched
        or (answer[0] == "anonymous") != (verdict_on(chain).code == TrustCode.NO_COMMON_NAME)
    }
    assert differing == {}


def chains_with_ends(openssl: Openssl) -> dict[str, tuple[Chain, int]]:
    """Chains of which one part ends first, with that end."""
    short = {"end": "20270101000000Z"}
    root, short_root = openssl.make_ca(), openssl.make_ca(**short)
    between = openssl.make_ca("/CN=between", by=root)
    short_between = openssl.make_ca("/CN=between", by=root, key=between.key_path, **short)
    longer_between = openssl.make_ca("/CN=between", by=root, key=between.key_path, end="20290101000000Z")
    below = openssl.make(SUBJECT, by=between)
    renewed = openssl.make_ca(key=short_root.key_path, end="20280101000000Z")
    return {
        "leaf": (Chain(openssl.make(SUBJECT, by=root, **short), (root,)), seconds(2027)),
        "root": (Chain(openssl.make(SUBJECT, by=short_root), (short_root,)), seconds(2027)),
        "intermediate": (Chain(below, (root,), (short_between,)), seconds(2027)),
        "best of two intermediates": (Chain(below, (root,), (short_between, longer_between)), seconds(2029)),
        "best of two roots": (Chain(openssl.make(SUBJECT, by=renewed), (short_root, renewed)), seconds(2028)),
    }


def test_a_chain_ends_with_its_earliest_part_and_the_best_chain_counts(openssl: Openssl) -> None:
    for name, (chain, end) in chains_with_ends(openssl).items():
        assert (name, verdict_on(chain).chain_ends_at) == (name, end)


@pytest.mark.control_plane
def test_go_takes_a_chain_until_that_very_second(go_verdict: Path, openssl: Openssl) -> None:
    chains = chains_with_ends(openssl)
    questions = [(chain, end + late) for chain, end in chains.values() for late in (0, 1)]
    verdicts = [verdict for verdict, _ in ask_go(go_verdict, questions)]
    assert verdicts == ["accepted", "refused"] * len(chains)


def test_without_a_known_client_ca_nothing_is_vouched_for(openssl: Openssl) -> None:
    assert assess(load(openssl.make(SUBJECT)), [], []).code == TrustCode.NO_CLIENT_CA


def test_only_a_vouched_member_of_system_masters_passes_every_authorizer(openssl: Openssl) -> None:
    ca, subject = openssl.make_ca(), "/O=system:masters/CN=admin"
    inside, outside = openssl.make(subject, by=ca), openssl.make(subject, by=openssl.make_ca("/CN=else"))
    assert verdict_on(Chain(inside, (ca,))).passes_every_authorizer
    assert not verdict_on(Chain(outside, (ca,))).passes_every_authorizer
    assert not verdict_on(Chain(openssl.make(SUBJECT, by=ca), (ca,))).passes_every_authorizer


def test_what_is_not_judged_is_refused_and_said(openssl: Openssl) -> None:
    limited = openssl.make_ca(extensions=f"{CA}\nnameConstraints=permitted;DNS:a.example")
    with_san = openssl.make(SUBJECT, f"{LEAF}\nsubjectAltName=DNS:a.example", by=limited)
    assert "name constraints" in verdict_on(Chain(with_san, (limited,))).reason
    root = openssl.make_ca()
    strict = openssl.make_ca("/CN=s", f"{CA}\npolicyConstraints=requireExplicitPolicy:0", by=root)
    below = openssl.make(SUBJECT, by=strict)
    assert "policy constraints" in verdict_on(Chain(below, (root,), (strict,))).reason


def test_a_changed_certificate_is_not_vouched_for(openssl: Openssl) -> None:
    ca = openssl.make_ca()
    der = load(openssl.make(SUBJECT, by=ca)).der
    forged = load_certificates(der.replace(b"2111-1795", b"2112-1795"))[0]
    assert forged.common_name == "2112-1795"
    assert assess(forged, [], [load(ca)]).code == TrustCode.UNKNOWN_AUTHORITY


def test_a_chain_of_eight_is_the_longest(openssl: Openssl) -> None:
    authorities = [openssl.make_ca("/CN=0")]
    for number in range(1, 8):
        authorities.append(openssl.make_ca(f"/CN={number}", by=authorities[-1]))
    root, between = authorities[0], tuple(authorities[1:])
    eight = Chain(openssl.make(SUBJECT, by=between[-2]), (root,), between)
    nine = Chain(openssl.make(SUBJECT, by=between[-1]), (root,), between)
    assert verdict_on(eight).vouched
    assert not verdict_on(nine).vouched


def test_a_maze_of_authorities_costs_at_most_a_hundred_checks(
    openssl: Openssl, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaf, root = load(openssl.make("/CN=kubernetes")), load(openssl.make_ca())
    checks: list[Certificate] = []

    def counted(child: Certificate, parent: Certificate) -> None:
        # Every candidate counts as a signer here, which no real set of keys gives so cheaply.
        checks.append(parent)

    monkeypatch.setattr("kubecustody.pki.trust._flaw_of_signature", counted)
    maze = [
        dataclasses.replace(root, fingerprint=bytes([number] * 32), public_key_der=bytes([number]))
        for number in range(60)
    ]
    elsewhere = dataclasses.replace(root, subject_der=b"elsewhere")
    verdict = assess(leaf, maze, [elsewhere])
    assert len(checks) <= 100
    assert (verdict.code, "100 signature checks" in verdict.reason) == (TrustCode.UNKNOWN_AUTHORITY, True)


def test_a_bundle_takes_each_authority_once(openssl: Openssl) -> None:
    first, second = openssl.make_ca(), openssl.make_ca()
    text = (first.certificate + b"# a comment\n" + second.certificate + first.certificate).decode()
    assert [one.fingerprint for one in load_bundle(text)] == [load(first).fingerprint, load(second).fingerprint]


def test_a_bundle_names_the_member_that_is_no_authority(openssl: Openssl) -> None:
    ca, leaf = openssl.make_ca(), openssl.make(SUBJECT)
    with pytest.raises(BundleUnusable, match=f"Certificate 2 of 2.*{load(leaf).fingerprint_hex}"):
        load_bundle(ca.certificate + leaf.certificate)


@pytest.mark.parametrize("nothing", [b"", "", b"\n", "no certificates here"])
def test_an_empty_bundle_is_refused(nothing: bytes | str) -> None:
    with pytest.raises(CertificateUnreadable):
        load_bundle(nothing)
