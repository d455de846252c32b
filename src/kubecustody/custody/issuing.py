"""Getting, renewing and revoking kubeconfigs.

Everything happens in one transaction: what is current, the decision (`core.issuing`), the key, the certificate, its
record and its event. So two who ask at once get one new credential.
"""

import json
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar

from kubecustody.catalogue.kubeconfigs import (
    BareKubeconfigOutput,
    ExpireInput,
    IssueCredentialInput,
    IssueCredentialOutput,
    KubeconfigOutput,
    RevokeInput,
    RevokeOutput,
    SubaccountKubeconfigInput,
    UserKubeconfigInput,
)
from kubecustody.catalogue.shapes import Shape
from kubecustody.core.clocks import find_clock_obstacle, seconds_behind
from kubecustody.core.errors import (
    ClusterNotFound,
    ClusterStateForbids,
    ServiceUnavailable,
    TooManyCredentials,
    UserNotFound,
)
from kubecustody.core.issuing import (
    BACKDATE_SECONDS,
    DAY_SECONDS,
    AtLimit,
    Decision,
    HandOut,
    Held,
    Issue,
    Limits,
    decide_long_lived,
    decide_new,
    decide_temporary,
)
from kubecustody.core.states import ClusterState
from kubecustody.core.times import format_time
from kubecustody.custody.acts import Act, After
from kubecustody.custody.authentication import Caller
from kubecustody.custody.authorisation import check_reach
from kubecustody.custody.changes import Change
from kubecustody.custody.installation import Custody, open_pending_key, seal_pending_key, seal_private_key
from kubecustody.custody.rehearsing import rehearse
from kubecustody.custody.verdicts import verdict_of
from kubecustody.kubeconfig.rendering import KubeconfigParts, NameStyle, render_kubeconfig
from kubecustody.pki.certificate_requests import PublicKey, load_certificate_request, make_certificate_request
from kubecustody.pki.certificates import Certificate, format_ders
from kubecustody.pki.client_certificates import (
    KeyType,
    Signer,
    common_name_for,
    format_private_key,
    issue_client_certificate,
    load_signer,
    make_key,
)
from kubecustody.pki.der import elements
from kubecustody.pki.issuing import PemPair
from kubecustody.pki.subjects import USERS_GROUP
from kubecustody.pki.trust import Verdict, assess, load_bundle
from kubecustody.store import issuing as stored
from kubecustody.store.clusters import find_cluster
from kubecustody.store.credentials import NewCredential, add_to_holding, update_holding
from kubecustody.store.fleet import Cluster
from kubecustody.store.issuing import IssuedCredential, IssuingPlace, StoredSigner
from kubecustody.store.pending import PendingIssue, add_pending, drop_pending, find_pending, list_pending
from kubecustody.store.principals import find_principal
from kubecustody.store.removing import find_number_by_name
from kubecustody.store.transactions import Transaction

T = TypeVar("T")

# CAs by their sealed key, so that a change is noticed and nothing is unsealed for each certificate.
_SIGNERS: dict[bytes, Signer] = {}
_REMEMBERED_SIGNERS = 1024
# What a cluster says of what a signer issues, by the signer's sealed key and the bundle.
_VERDICTS: dict[tuple[bytes, str], Verdict] = {}
_EQUAL_SECONDS = 300  # shorter by so much is as long as was asked
_CLUSTER_GRACE_SECONDS = 600  # a cluster backdates what it signs, by 5 minutes
_OUR_ORGANIZATIONS = json.dumps([USERS_GROUP])

_USABLE_STATES = {ClusterState.RUNNING, ClusterState.UPDATING, ClusterState.UPDATING_FAILED, ClusterState.SCALING}


class Kubeconfig(NamedTuple):
    """A kubeconfig as text, and when its certificate ends (unix seconds)."""

    text: str
    not_after: int


class Wish(NamedTuple):
    """Whose kubeconfig of which cluster, by which address, for how many minutes (None: long-lived)."""

    uid: str
    cluster_id: str
    private_address: bool
    temporary_minutes: int | None


async def describe_cluster_user_kubeconfig(
    custody: Custody, unit: Change, caller: Caller, request: UserKubeconfigInput
) -> KubeconfigOutput | After:
    """The caller's own kubeconfig."""
    return _answer(await get_kubeconfig(custody, unit, _own_wish(caller, request)), _whole)


async def describe_cluster_v2_user_kubeconfig(
    custody: Custody, unit: Change, caller: Caller, request: UserKubeconfigInput
) -> BareKubeconfigOutput | After:
    """The caller's own kubeconfig, without its end."""
    got = await get_kubeconfig(custody, unit, _own_wish(caller, request))
    return _answer(got, lambda kubeconfig: BareKubeconfigOutput(kubeconfig.text))


async def describe_subaccount_user_config(
    custody: Custody, unit: Change, caller: Caller, request: SubaccountKubeconfigInput
) -> KubeconfigOutput | After:
    """Somebody else's kubeconfig. Raises UserNotFound, also for who is deleted, and BeyondDelegation."""
    principal = await find_principal(unit.tx, unit.account_id, request.uid)
    if principal is None or principal.deleted_at is not None:
        raise UserNotFound(request.uid)
    check_reach(caller, principal)
    wish = Wish(request.uid, request.cluster_id, request.private_ip_address, request.temporary_duration_minutes)
    return _answer(await get_kubeconfig(custody, unit, wish), _whole)


def _whole(kubeconfig: Kubeconfig) -> KubeconfigOutput:
    return KubeconfigOutput(kubeconfig.text, format_time(kubeconfig.not_after))


def _answer(got: "Kubeconfig | Begun", shape: Callable[[Kubeconfig], T]) -> T | After:
    """The answer, or where the cluster signs, what gives it after the commit."""
    if isinstance(got, Kubeconfig):
        return shape(got)

    async def run(act: Act) -> T:
        from kubecustody.custody.csr_issuing import finish_issue  # calls clusters

        return shape(await finish_issue(act, got))

    return After(run)


def _own_wish(caller: Caller, request: UserKubeconfigInput) -> Wish:
    return Wish(caller.uid, request.cluster_id, request.private_ip_address, request.temporary_duration_minutes)


async def update_user_config_expire(_: Custody, unit: Change, caller: Caller, request: ExpireInput) -> None:
    """Set the validity of a person's next kubeconfig. Raises UserNotFound, ClusterNotFound, BeyondDelegation."""
    principal = await find_principal(unit.tx, unit.account_id, request.user)
    if principal is None:
        raise UserNotFound(request.user)
    check_reach(caller, principal)
    cluster = await get_cluster(unit.tx, unit.account_id, request.cluster_id)
    await stored.set_custom_validity(
        unit.tx, unit.account_id, request.user, cluster.seq, request.expire_hour, unit.counters.last_credential_no
    )
    unit.record("validity_set", uid=request.user, cluster_seq=cluster.seq, details={"hours": request.expire_hour})


async def revoke_kubeconfig(
    custody: Custody, unit: Change, caller: Caller, request: RevokeInput
) -> After | RevokeOutput:
    """Ask the removal of everything that the caller holds in the cluster, and issue one anew where that is possible; or
    tell what would happen.

    That nothing issues there must not keep anybody from ending a key that leaked.
    """
    cluster = await get_cluster(unit.tx, unit.account_id, request.cluster_id)
    if request.dry_run:
        return RevokeOutput(await rehearse(unit.tx, unit.account_id, cluster, caller.uid, unit.now, cleans=False))
    for live in await stored.list_live(unit.tx, unit.account_id, caller.uid, cluster.seq, unit.at):
        await request_removal(unit, cluster, caller.uid, live.credential_no, live.fingerprint)
    await stored.drop_custom_validity(unit.tx, unit.account_id, caller.uid, cluster.seq)
    answer: After | RevokeOutput = RevokeOutput()
    with suppress(ClusterStateForbids):
        answer = await _issue_anew(custody, unit, caller.uid, request.cluster_id)
    await update_holding(unit.tx, unit.account_id, caller.uid, cluster.seq, cluster.trust_epoch)
    return answer


async def _issue_anew(custody: Custody, unit: Change, uid: str, cluster_id: str) -> After | RevokeOutput:
    """Issue a long-lived one, whatever is held, and hand nothing out. Raises ClusterStateForbids before any change."""
    place = await _find_place(custody, unit.tx, unit.account_id, cluster_id)
    issue = Issue(_life_seconds(custody, None))
    if place.signer is None:
        wish = Wish(uid, cluster_id, private_address=False, temporary_minutes=None)
        return _answer(await _begin(custody, unit, place, wish, issue, discloses=False), lambda _: RevokeOutput())
    await _issue(custody, unit, place, place.signer, uid, issue, None)
    return RevokeOutput()


async def request_removal(
    unit: Change,
    cluster: Cluster,
    uid: str,
    credential_no: int,
    fingerprint: bytes | None,
    *,
    compromised: bool = False,
) -> None:
    """Record the wish that a credential be removed: from then on it is never handed out, renewed or mended.

    compromised: somebody else may have its key, so that it is never restored either.
    """
    subject = f"credential/{fingerprint.hex()}" if fingerprint else ""
    if await stored.set_removal_requested(unit.tx, unit.account_id, credential_no, unit.at):
        unit.record("removal_requested", uid=uid, cluster_seq=cluster.seq, subject=subject)
    if compromised and await stored.set_compromised(unit.tx, unit.account_id, credential_no, unit.at):
        unit.record("credential_compromised", uid=uid, cluster_seq=cluster.seq, subject=subject)


async def issue_credential(
    custody: Custody, unit: Change, caller: Caller, request: IssueCredentialInput
) -> IssueCredentialOutput:
    """A certificate for a key that the caller made and keeps.

    Raises CertificateRequestRefused, ClusterNotFound, ClusterStateForbids, TooManyCredentials.
    """
    public_key = load_certificate_request(request.csr)
    wish = Wish(caller.uid, request.cluster_id, request.private_ip_address, request.temporary_duration_minutes)
    place = await _find_place(custody, unit.tx, unit.account_id, wish.cluster_id)
    cluster, server = place.cluster, _server_address(place.stored, private=wish.private_address)
    usable = await _list_usable(unit.tx, unit.account_id, wish.uid, cluster, unit.now)
    life_seconds = await _life_of_wish(custody, unit.tx, unit.account_id, wish, cluster)
    decision = decide_new(
        [one.facts for one in usable.values()], life_seconds, wish.temporary_minutes, _limits(custody)
    )
    if isinstance(decision, AtLimit):
        raise TooManyCredentials(
            wish.uid, cluster.cluster_id, decision.limit, usable[decision.oldest].fingerprint.hex()
        )
    if place.signer is None:
        raise ClusterStateForbids(
            cluster.cluster_id,
            "the cluster itself signs, and takes the name that a request has. Ask for one without a local key.",
        )
    given = await _issue(custody, unit, place, place.signer, wish.uid, decision, wish.temporary_minutes, public_key)
    return IssueCredentialOutput(
        certificate=given.certificates.decode(),
        config=_render(custody, wish, server, place.stored, given),
        expiration=format_time(given.not_after),
        fingerprint=given.fingerprint_hex,
    )


async def find_validity_minutes(
    custody: Custody, tx: Transaction, caller: Caller, request: Shape, now: float
) -> int | None:
    """The validity in minutes that a call would give, or of the certificate that it would return; for policies.

    None for a call that has to do with none. The CA's own end, which may cut it, is not looked at.
    """
    if isinstance(request, ExpireInput):
        return request.expire_hour * 60
    if isinstance(request, RevokeInput):
        return _life_seconds(custody, None) // 60
    if not isinstance(request, UserKubeconfigInput | SubaccountKubeconfigInput | IssueCredentialInput):
        return None
    if request.temporary_duration_minutes is not None:
        return request.temporary_duration_minutes
    uid = request.uid if isinstance(request, SubaccountKubeconfigInput) else caller.uid
    cluster = await find_cluster(tx, caller.account_id, request.cluster_id)
    if cluster is None:  # which the call is told only after this
        return _life_seconds(custody, None) // 60
    wish = Wish(uid, cluster.cluster_id, request.private_ip_address, None)
    usable = await _list_usable(tx, caller.account_id, uid, cluster, now)
    life_seconds = await _life_of_wish(custody, tx, caller.account_id, wish, cluster)
    if not isinstance(request, IssueCredentialInput):
        decision = await _decide(
            custody, tx, caller.account_id, now, wish, cluster, [one.facts for one in usable.values()]
        )
        if isinstance(decision, HandOut):
            handed_out = usable[decision.number].facts
            life_seconds = handed_out.not_after - handed_out.issued_at
    return math.ceil(life_seconds / 60)


async def get_cluster(tx: Transaction, account_id: str, cluster_id: str) -> Cluster:
    """The cluster of this id. Raises ClusterNotFound."""
    cluster = await find_cluster(tx, account_id, cluster_id)
    if cluster is None:
        raise ClusterNotFound(cluster_id)
    return cluster


# --- issuing


class _Place(NamedTuple):
    """A cluster in which a kubeconfig can be issued, and by what."""

    stored: IssuingPlace
    signer: Signer | None  # None: the cluster itself signs
    signer_no: int
    sealed_key: bytes

    @property
    def cluster(self) -> Cluster:
        """The cluster itself."""
        return self.stored.cluster


class _Given(NamedTuple):
    """What a kubeconfig is made of: the chain, and the key where it is not its holder's own, both PEM."""

    certificates: bytes
    fingerprint_hex: str
    not_after: int
    private_key: bytes | None

    def __repr__(self) -> str:
        return f"_Given({self.fingerprint_hex})"


async def get_kubeconfig(custody: Custody, unit: Change, wish: Wish) -> "Kubeconfig | Begun":
    """The current kubeconfig, or a new one where none is current or it is due for renewal; where the cluster itself
    signs, what was begun.

    Raises ClusterNotFound, ClusterStateForbids, TooManyCredentials.
    """
    place = await _find_place(custody, unit.tx, unit.account_id, wish.cluster_id)
    cluster, server = place.cluster, _server_address(place.stored, private=wish.private_address)
    usable = await _list_usable(unit.tx, unit.account_id, wish.uid, cluster, unit.now)
    held = [one.facts for one in usable.values()]
    decision = await _decide(custody, unit.tx, unit.account_id, unit.now, wish, cluster, held)
    if isinstance(decision, AtLimit):
        oldest = usable[decision.oldest].fingerprint.hex()
        raise TooManyCredentials(wish.uid, cluster.cluster_id, decision.limit, oldest)
    if isinstance(decision, HandOut):
        given = await _open_kept(custody, unit, usable[decision.number])
    else:
        for number in decision.replaces:
            await request_removal(unit, cluster, wish.uid, number, usable[number].fingerprint)
        if place.signer is None:
            return await _begin(custody, unit, place, wish, decision, discloses=True)
        given = await _issue(custody, unit, place, place.signer, wish.uid, decision, wish.temporary_minutes)
    return _hand_out(custody, unit, wish, place.stored, given, server)


def _hand_out(
    custody: Custody, unit: Change, wish: Wish, place: IssuingPlace, given: _Given, server: str
) -> Kubeconfig:
    """The kubeconfig of a credential; that its key is handed out is an event."""
    unit.record(
        "private_key_disclosed",
        uid=wish.uid,
        cluster_seq=place.cluster.seq,
        subject=f"credential/{given.fingerprint_hex}",
        details={"temporary_minutes": wish.temporary_minutes},
    )
    return Kubeconfig(_render(custody, wish, server, place, given), given.not_after)


async def _list_usable(
    tx: Transaction, account_id: str, uid: str, cluster: Cluster, now: float
) -> dict[int, IssuedCredential]:
    """The person's current credentials of our making that are vouched for, by number."""
    current = await stored.list_current_issued(tx, account_id, uid, cluster.seq, int(now))
    return {one.facts.number: one for one in current if _is_vouched(one, cluster, now)}


def _is_vouched(one: IssuedCredential, cluster: Cluster, now: float) -> bool:
    return one.vouched_until is not None and now <= one.vouched_until and one.trust_epoch == cluster.trust_epoch


async def _decide(
    custody: Custody, tx: Transaction, account_id: str, now: float, wish: Wish, cluster: Cluster, held: Sequence[Held]
) -> Decision:
    keep_keys = custody.settings.keep_private_keys == "on"
    if wish.temporary_minutes is not None:
        return decide_temporary(held, wish.temporary_minutes, _limits(custody), now, keep_keys=keep_keys)
    custom = await stored.find_custom_validity(tx, account_id, wish.uid, cluster.seq)
    return decide_long_lived(
        held,
        _life_seconds(custody, custom),
        None if custom is None else custom[1],
        _limits(custody),
        now,
        keep_keys=keep_keys,
    )


def _limits(custody: Custody) -> Limits:
    return Limits(custody.settings.most_long_lived, custody.settings.most_temporary)


async def _life_of_wish(custody: Custody, tx: Transaction, account_id: str, wish: Wish, cluster: Cluster) -> int:
    """How long what is issued anew is to live."""
    if wish.temporary_minutes is not None:
        return wish.temporary_minutes * 60
    return _life_seconds(custody, await stored.find_custom_validity(tx, account_id, wish.uid, cluster.seq))


def _life_seconds(custody: Custody, custom: tuple[int, int] | None) -> int:
    if custom is not None:
        return custom[0] * 3600
    return custody.settings.validity_days * DAY_SECONDS


async def _find_place(custody: Custody, tx: Transaction, account_id: str, cluster_id: str) -> _Place:
    """Where to issue, and by what. Raises ClusterNotFound, ClusterStateForbids."""

    async def find() -> _Place:
        return await _read_place(custody, tx, account_id, cluster_id)

    return await tx.recall(("issuing place", account_id, cluster_id), stored.PLACE_TABLES, find)


async def _read_place(custody: Custody, tx: Transaction, account_id: str, cluster_id: str) -> _Place:
    found = await stored.find_issuing_place(tx, account_id, cluster_id)
    if found is None:
        raise ClusterNotFound(cluster_id)
    cluster, signer = found.cluster, found.signer
    state = cluster.seen_state or cluster.told_state
    if state not in _USABLE_STATES:
        raise ClusterStateForbids(cluster.cluster_id, f"it is {state}.")
    if found.mode == "observe":
        raise ClusterStateForbids(
            cluster.cluster_id,
            f"it is only observed. `kubecustody clusters plan {cluster.cluster_id}` shows what managing would change.",
        )
    if signer is not None and signer.kind == "csr" and signer.to_at is None and found.mode == "manage":
        return _Place(found, None, signer.signer_no, b"")
    if signer is None or signer.kind != "ca" or signer.to_at is not None:
        raise ClusterStateForbids(
            cluster.cluster_id,
            "nothing issues certificates for it. `kubecustody admin clusters signer` gives it a CA.",
        )
    ready = _load_signer(custody, account_id, cluster, signer)
    return _Place(found, ready, signer.signer_no, signer.sealed_key or b"")


def _load_signer(custody: Custody, account_id: str, cluster: Cluster, signer: StoredSigner) -> Signer:
    """The CA of a cluster; it is remembered by its sealed key, which changes with it."""
    sealed = signer.sealed_key or b""
    remembered = _SIGNERS.get(sealed)
    if remembered is None:
        key = custody.open_signer_key(account_id, cluster.seq, signer.signer_no, sealed)
        remembered = load_signer(PemPair((signer.certificate or "").encode(), key))
        if len(_SIGNERS) >= _REMEMBERED_SIGNERS:
            _SIGNERS.clear()
        _SIGNERS[sealed] = remembered
    return remembered


def _server_address(place: IssuingPlace, *, private: bool) -> str:
    cluster = place.cluster
    address = place.private_endpoint if private else place.public_endpoint
    if not address:
        kind = "intranet" if private else "public"
        option = "--private-endpoint" if private else "--public-endpoint"
        raise ClusterStateForbids(
            cluster.cluster_id,
            f"it has no {kind} address. `kubecustody admin clusters set {cluster.cluster_id} {option} URL` gives it "
            f"one, or ask with PrivateIpAddress={'False' if private else 'True'}.",
        )
    return address


async def _issue(
    custody: Custody,
    unit: Change,
    place: _Place,
    signer: Signer,
    uid: str,
    decision: Issue,
    temporary_minutes: int | None,
    public_key: PublicKey | None = None,
) -> _Given:
    """Make a certificate and record it; its private key too where none was brought.

    It begins before what the cluster's clock said last, so that it is taken there at once.
    """
    skew = place.stored.clock_skew_seconds
    _check_clock(place, decision, signs_itself=False)
    not_after = min(unit.at + decision.life_seconds, signer.not_after)
    if not_after <= unit.at:
        raise ClusterStateForbids(place.cluster.cluster_id, "the CA that issues for it has expired.")
    made = issue_client_certificate(
        signer,
        common_name=common_name_for(uid, unit.at, custody.random_bytes),
        not_before=unit.at - BACKDATE_SECONDS - seconds_behind(skew),
        not_after=not_after,
        key=public_key or KeyType(custody.settings.certificate_key_type),
        random_bytes=custody.random_bytes,
    )
    verdict = _judge_signer(place, signer)
    if not verdict.vouched or verdict.chain_ends_at is None:
        # It would be Unknown at once, count for no limit, and be made anew at each call.
        raise ClusterStateForbids(
            place.cluster.cluster_id,
            f"it would not take what is issued for it. {verdict.reason} "
            "`kubecustody admin clusters set CLUSTER --client-ca FILE` says which CAs it trusts.",
        )
    number = unit.take_credential_number()
    new = NewCredential(
        uid=uid,
        cluster_seq=place.cluster.seq,
        origin="issued",
        fingerprint=made.fingerprint,
        common_name=made.common_name,
        not_before=made.not_before,
        not_after=made.not_after,
        vouched_until=min(made.not_after, verdict.chain_ends_at),
        trust_epoch=place.cluster.trust_epoch,
        verdict=verdict.code,
        masters=False,
        chain=made.der,
        serial=made.serial,
        organizations=_OUR_ORGANIZATIONS,
        issued_at=unit.at,
        signer_no=place.signer_no,
        temporary_minutes=temporary_minutes,
        holders_key=public_key is not None,
    )
    keep = custody.settings.keep_private_keys == "on"
    key = made.private_key
    sealed = seal_private_key(custody.sealer, unit.account_id, number, key) if keep and key is not None else None
    await stored.add_issued(unit.tx, unit.account_id, number, new, sealed, unit.at)
    await add_to_holding(unit.tx, unit.account_id, new, unit.at)
    unit.record(
        "credential_issued",
        uid=uid,
        cluster_seq=place.cluster.seq,
        subject=f"credential/{made.fingerprint.hex()}",
        details={
            **verdict_of(new),
            "not_after": not_after,
            "signer": place.signer_no,
            "temporary_minutes": temporary_minutes,
            "holders_key": new.holders_key,
            "verdict": verdict.code,
            "trust_epoch": new.trust_epoch,
        },
    )
    return _Given(format_ders([made.der]), made.fingerprint.hex(), made.not_after, key)


def _check_clock(place: _Place, decision: Issue, *, signs_itself: bool) -> None:
    """Raises ClusterStateForbids where what is issued would be over at once, the cluster's clock being another."""
    skew = place.stored.clock_skew_seconds
    obstacle = find_clock_obstacle(skew, decision.life_seconds, signs_itself=signs_itself)
    if obstacle is not None:
        raise ClusterStateForbids(place.cluster.cluster_id, obstacle)


def _judge_signer(place: _Place, signer: Signer) -> Verdict:
    """What the cluster says of what the signer issues; chain_ends_at is that of the CAs above it.

    All that one signer issues has one profile, so one certificate of it, which is thrown away, stands for all.
    """
    client_ca = place.stored.client_ca
    verdict = _VERDICTS.get((place.sealed_key, client_ca))
    if verdict is None:
        sample = issue_client_certificate(signer, common_name="0-0", not_before=0, not_after=signer.not_after)
        verdict = assess(sample.certificate, (), load_bundle(client_ca) if client_ca else ())
        if len(_VERDICTS) >= _REMEMBERED_SIGNERS:
            _VERDICTS.clear()
        _VERDICTS[place.sealed_key, client_ca] = verdict
    return verdict


class Begun(NamedTuple):
    """An issue that the cluster itself is to sign: what it is asked for is recorded."""

    wish: Wish
    cluster_seq: int
    pending: PendingIssue
    discloses: bool


async def _begin(
    custody: Custody, unit: Change, place: _Place, wish: Wish, decision: Issue, *, discloses: bool
) -> Begun:
    """Make a key and record what the cluster is asked for. Raises ServiceUnavailable while another one is under way."""
    cluster = place.cluster
    _check_clock(place, decision, signs_itself=True)
    for other in await list_pending(unit.tx, unit.account_id, cluster.seq):
        if (other.uid, other.temporary_minutes) == (wish.uid, wish.temporary_minutes):
            raise ServiceUnavailable("another kubeconfig of the same kind is just being issued", retry_after_ms=2000)
    key = make_key(KeyType(custody.settings.certificate_key_type))
    name = common_name_for(wish.uid, unit.at, custody.random_bytes)
    pending = PendingIssue(
        cn=name,
        uid=wish.uid,
        signer_no=place.signer_no,
        csr=make_certificate_request(key, common_name=name, organization=USERS_GROUP),
        sealed_key=seal_pending_key(custody.sealer, unit.account_id, cluster.seq, name, format_private_key(key)),
        life_seconds=decision.life_seconds,
        temporary_minutes=wish.temporary_minutes,
        begun_at=unit.at,
    )
    await add_pending(unit.tx, unit.account_id, cluster.seq, pending)
    unit.record("issue_begun", uid=wish.uid, cluster_seq=cluster.seq, details={"name": name})
    return Begun(wish, cluster.seq, pending, discloses)


async def record_signed(
    custody: Custody, unit: Change, begun: Begun, chain: bytes, leaf: Certificate
) -> Kubeconfig | None:
    """Record what a cluster signed; the kubeconfig, None where nobody asked for one.

    What was cleaned meanwhile, whose holder was deleted meanwhile, or what lives longer than was asked is recorded as
    to be removed, and not handed out.
    """
    wish, asked = begun.wish, begun.pending
    found = await stored.find_issuing_place(unit.tx, unit.account_id, wish.cluster_id)
    if found is None:
        raise ClusterNotFound(wish.cluster_id)
    cluster = found.cluster
    still = await find_pending(unit.tx, unit.account_id, cluster.seq, asked.cn)
    if still is None and await find_number_by_name(unit.tx, unit.account_id, cluster.seq, asked.cn) is not None:
        raise ServiceUnavailable("the kubeconfig was recorded meanwhile", retry_after_ms=100)
    verdict = assess(leaf, (), load_bundle(found.client_ca) if found.client_ca else ())
    number = unit.take_credential_number()
    key = open_pending_key(custody.sealer, unit.account_id, cluster.seq, asked.cn, asked.sealed_key)
    new = NewCredential(
        uid=wish.uid,
        cluster_seq=cluster.seq,
        origin="issued",
        fingerprint=leaf.fingerprint,
        common_name=asked.cn,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        vouched_until=verdict.chain_ends_at,
        trust_epoch=cluster.trust_epoch,
        verdict=verdict.code,
        masters=False,
        chain=chain,
        serial=leaf.serial,
        organizations=_OUR_ORGANIZATIONS,
        issued_at=asked.begun_at,
        signer_no=asked.signer_no,
        temporary_minutes=asked.temporary_minutes,
    )
    keep = custody.settings.keep_private_keys == "on"
    sealed = seal_private_key(custody.sealer, unit.account_id, number, key) if keep else None
    await stored.add_issued(unit.tx, unit.account_id, number, new, sealed, unit.at)
    await drop_pending(unit.tx, unit.account_id, cluster.seq, asked.cn)
    details = {
        **verdict_of(new),
        "not_after": leaf.not_after,
        "signer": asked.signer_no,
        "asked_seconds": asked.life_seconds,
    }
    subject = f"credential/{leaf.fingerprint_hex}"
    unit.record("credential_issued", uid=wish.uid, cluster_seq=cluster.seq, subject=subject, details=details)
    holder = await find_principal(unit.tx, unit.account_id, wish.uid)
    is_gone = still is None or holder is None or holder.deleted_at is not None
    if _note_other_life(unit, begun, leaf) or is_gone:
        await request_removal(unit, cluster, wish.uid, number, leaf.fingerprint)
        is_gone = True
    await update_holding(unit.tx, unit.account_id, wish.uid, cluster.seq, cluster.trust_epoch)
    if not begun.discloses or is_gone:
        return None
    given = _Given(_format_chain(chain), leaf.fingerprint_hex, leaf.not_after, key)
    return _hand_out(custody, unit, wish, found, given, _server_address(found, private=wish.private_address))


def lives_too_long(asked: PendingIssue, leaf: Certificate) -> bool:
    """Whether what was signed lives longer than was asked."""
    return _over_seconds(asked, leaf) > _CLUSTER_GRACE_SECONDS


def _over_seconds(asked: PendingIssue, leaf: Certificate) -> int:
    """By how much it lives longer, by its own beginning and end: the cluster's clock may be another than ours, and it
    may have signed late.
    """
    return leaf.not_after - leaf.not_before - asked.life_seconds


def _note_other_life(unit: Change, begun: Begun, leaf: Certificate) -> bool:
    """Whether what was signed lives longer than was asked; that it does, or that it ends sooner, is an event."""
    asked = begun.pending
    too_long = lives_too_long(asked, leaf)
    if too_long or _over_seconds(asked, leaf) < -_EQUAL_SECONDS:
        unit.record(
            "signed_longer" if too_long else "signed_shorter",
            uid=begun.wish.uid,
            cluster_seq=begun.cluster_seq,
            subject=f"credential/{leaf.fingerprint_hex}",
            details={"asked_seconds": asked.life_seconds, "not_after": leaf.not_after},
        )
    return too_long


async def _open_kept(custody: Custody, unit: Change, one: IssuedCredential) -> _Given:
    number = one.facts.number
    kept = await stored.find_private_key(unit.tx, unit.account_id, number)
    if kept is None:
        raise RuntimeError(f"credential {number} was to be handed out and its key is not kept")
    key = custody.open_private_key(unit.account_id, number, kept.sealed)
    return _Given(_format_chain(kept.chain), one.fingerprint.hex(), one.facts.not_after, key)


def _format_chain(chain: bytes) -> bytes:
    """DER after DER as PEM."""
    return format_ders(element.whole for element in elements(chain))


def _render(custody: Custody, wish: Wish, server: str, place: IssuingPlace, given: _Given) -> str:
    return render_kubeconfig(
        KubeconfigParts(
            uid=wish.uid,
            cluster_id=wish.cluster_id,
            server=server,
            server_ca=place.server_ca.encode() if place.server_ca else None,
            certificate=given.certificates,
            private_key=given.private_key,
            tls_server_name=place.tls_server_name,
            proxy_url=place.proxy_url,
        ),
        NameStyle(custody.settings.kubeconfig_names),
    )
