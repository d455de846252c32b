"""ListCredentials and DescribeCredential as they would have been answered at a moment: folded from events."""

from typing import TypeVar

from kubecustody.catalogue.credentials import (
    CredentialRow,
    DescribeCredentialInput,
    DescribeCredentialOutput,
    ListCredentialsInput,
    ListCredentialsOutput,
)
from kubecustody.catalogue.shapes import UNSET
from kubecustody.core.errors import CredentialNotFound, Fault, ParametersRefused, UserNotFound
from kubecustody.core.past import PastPerson, Recorded, credential_then, person_then
from kubecustody.core.times import parse_time
from kubecustody.custody import credentials as present
from kubecustody.custody.authentication import Caller
from kubecustody.custody.credentials import Filters
from kubecustody.custody.past import Moment, Place, find_moment, find_past_cluster, find_place, was_there
from kubecustody.store import past as stored
from kubecustody.store.events import find_cluster_id
from kubecustody.store.finding import Scanned, get_credential_details
from kubecustody.store.principals import find_principal
from kubecustody.store.transactions import Transaction

R = TypeVar("R", bound=CredentialRow)

LOOKED_AT = 300


async def list_credentials(
    tx: Transaction, caller: Caller, request: ListCredentialsInput, now: float
) -> ListCredentialsOutput:
    """Some credentials by number, and where to go on. Raises UserNotFound, ClusterNotFound, ParametersRefused."""
    moment = await find_moment(tx, caller.account_id, request.at, now, "At")
    filters = await _filters(tx, moment, request)
    after = present.parse_token(request.next_token, 1)
    scanned = await stored.list_recorded_from(
        tx, moment.account_id, filters.cluster_seq, after[0] if after else 0, LOOKED_AT
    )
    answer = ListCredentialsOutput([])
    reader = _Reader(tx, moment)
    for seq, recorded in scanned:
        if len(answer.credentials) == request.max_results:
            break
        answer.next_token = str(recorded.number)
        one = await reader.read(seq, recorded)
        if one is not None and present.fits(one, filters, moment.at):
            answer.credentials.append(await reader.row(one, CredentialRow))
    else:
        if len(scanned) < LOOKED_AT:
            answer.next_token = UNSET
    return answer


async def describe_credential(
    tx: Transaction, caller: Caller, request: DescribeCredentialInput, now: float
) -> DescribeCredentialOutput:
    """One credential with what had happened to it. Of what only the newest is kept (evidence) nothing is told.

    Raises ClusterNotFound, CredentialNotFound, ParametersRefused.
    """
    fingerprint = present.parse_fingerprint(request.credential)
    if fingerprint is None:
        raise ParametersRefused((Fault("At", "goes with a fingerprint as Credential; ListCredentials tells it."),))
    moment = await find_moment(tx, caller.account_id, request.at, now, "At")
    place = await find_past_cluster(tx, moment, request.cluster_id)
    recorded = await stored.find_recorded(tx, moment.account_id, place.seq, fingerprint)
    reader = _Reader(tx, moment)
    one = await reader.read(place.seq, recorded) if recorded else None
    if one is None:
        raise CredentialNotFound(request.credential, place.cluster_id)
    answer = await reader.row(one, DescribeCredentialOutput)
    await present.add_history(tx, moment.account_id, answer, one, moment.at, moment.last_no)
    return answer


async def _filters(tx: Transaction, moment: Moment, request: ListCredentialsInput) -> Filters:
    expires_before = parse_time(request.expires_before) if request.expires_before else None
    place = await find_past_cluster(tx, moment, request.cluster_id) if request.cluster_id else None
    if request.uid and not await was_there(tx, moment, request.uid):
        raise UserNotFound(request.uid)
    seq = None if place is None else place.seq
    return Filters(request.uid, seq, request.state, expires_before, request.deleted_holders, None, None)


class _Reader:
    """Reads credentials of a moment; clusters and people are read once."""

    def __init__(self, tx: Transaction, moment: Moment) -> None:
        self._tx = tx
        self._moment = moment
        self._places: dict[int, Place | None] = {}
        self._people: dict[str, PastPerson | None] = {}

    async def read(self, seq: int, recorded: Recorded) -> Scanned | None:
        """The credential; None where it was not recorded yet, or its cluster not listed."""
        place = await self._place(seq)
        if place is None:
            return None
        steps = await stored.list_credential_steps(
            self._tx, self._moment.account_id, seq, recorded.fingerprint, self._moment.last_no
        )
        then = credential_then(recorded, steps, place.then)
        if then is None:
            return None
        person = await self._person(then.uid) if then.uid else None
        deleted_at = self._moment.at if person and person.deleted else None
        return Scanned(then.facts, then.uid, seq, place.then.trust_epoch, deleted_at)

    async def row(self, one: Scanned, shape: type[R]) -> R:
        """What is said of it."""
        place, at = await self._place(one.cluster_seq), self._moment.at
        assert place is not None
        person = await self._person(one.uid) if one.uid else None
        who = await find_principal(self._tx, self._moment.account_id, one.uid) if one.uid else None
        details = await get_credential_details(self._tx, self._moment.account_id, one.facts.number)
        details = details._replace(
            cluster_id=place.cluster_id,
            cluster_name=place.then.name,
            cluster_state=place.then.state,
            holder_disabled_at=at if person and person.disabled else None,
            holder_deleted_at=one.holder_deleted_at,
            holder_name=who.name if who else None,
        )
        return present.row_of(one, details, at, shape)

    async def _place(self, seq: int) -> Place | None:
        if seq not in self._places:
            cluster_id = await find_cluster_id(self._tx, self._moment.account_id, seq)
            self._places[seq] = await find_place(self._tx, self._moment, seq, cluster_id)
        return self._places[seq]

    async def _person(self, uid: str) -> PastPerson | None:
        if uid not in self._people:
            steps = await stored.list_person_steps(self._tx, self._moment.account_id, uid, self._moment.last_no)
            self._people[uid] = person_then(steps)
        return self._people[uid]
