"""The past agrees with what was answered then, over random histories made by the use cases, with a clock that moves."""

import asyncio
import math
import re
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from custody.books import ask
from custody.fleets import NOW
from installations import Installation, make_installation
from kubecustody.catalogue.credentials import ListCredentialsInput
from kubecustody.catalogue.kubeconfigs import CleanInput, RevokeInput, UserKubeconfigInput
from kubecustody.catalogue.restoring import RestoreCredentialInput
from kubecustody.catalogue.states import ListClusterKubeconfigStatesInput, ListUserKubeConfigStatesInput
from kubecustody.core.errors import ClusterNotFound, CustodyError, UserNotFound
from kubecustody.core.names import PrincipalKind
from kubecustody.core.past import CLUSTER_KINDS, CREDENTIAL_KINDS, PERSON_KINDS
from kubecustody.core.times import format_time
from kubecustody.custody import clusters, observing, principals, proving, restoring
from kubecustody.custody.acts import Act
from kubecustody.custody.authentication import Caller
from kubecustody.custody.changes import Author, Change, change
from kubecustody.custody.clusters import ClusterFields
from kubecustody.custody.credentials import list_credentials
from kubecustody.custody.handlers import get_change_handler
from kubecustody.custody.imports import assign_holder, import_credentials
from kubecustody.custody.installation import open_custody
from kubecustody.custody.kubeconfig_states import list_cluster_kubeconfig_states, list_user_kubeconfig_states
from kubecustody.custody.observing import Look
from kubecustody.custody.removals import Selection, attest_removal, withdraw_attestation
from kubecustody.custody.signers import make_signer
from kubecustody.kubeconfig.candidates import Candidate, read_candidates
from kubecustody.pki.issuing import PemPair, make_ca, make_client_certificate
from kubecustody.store.removing import StoredEvidence, list_wanted_removals
from kubecustody.store.statements import all_statements
from kubecustody.store.transactions import Transaction

F = TypeVar("F", bound=Callable[..., None])

DAY = 86_400
USERS = ("2001", "2002", "2003")
NAMES = ("prod", "test", "stage", "dev")
USE_CASES: dict[type, Any] = {
    ListUserKubeConfigStatesInput: list_user_kubeconfig_states,
    ListClusterKubeconfigStatesInput: list_cluster_kubeconfig_states,
    ListCredentialsInput: list_credentials,
}
PAGES = ((1, 100), (1, 1), (2, 1), (1, 2), (2, 2))  # number and size
REQUEST_ID = "00000000-0000-4000-8000-000000000001"


@dataclass(frozen=True)
class Drawer:
    """Authorities and certificates made once: of each holder under each authority, some over, some not yet valid."""

    authorities: list[PemPair]
    candidates: list[Candidate]


def make_drawer() -> Drawer:
    authorities = [make_ca("kubernetes", NOW - 900 * DAY, days) for days in (4000, 4000, 930)]
    candidates = []
    for ca in authorities:
        for number, uid in enumerate((*USERS, "2999", "admin")):
            groups = ["system:masters"] if number == 3 else ["system:users"]
            begins, ends = NOW - (20 - number) * DAY, NOW + (40 * number - 60) * DAY
            pair = make_client_certificate(ca, uid, groups, min(begins, ends - DAY), ends)
            candidates += read_candidates(pair.certificate, "file")
    return Drawer(authorities, candidates)


@dataclass(frozen=True)
class Answer:
    """What was answered at a time, or the error."""

    at: int
    request: Any
    told: Any


_STEPS: list[st.SearchStrategy[tuple[str, dict[str, Any]]]] = []


def step(weight: int = 1, /, **arguments: st.SearchStrategy[Any]) -> Callable[[F], F]:
    """Mark what can happen. One rule chooses among all of it: of several rules a run would try some only."""

    def note(happening: F) -> F:
        _STEPS.extend([st.tuples(st.just(happening.__name__), st.fixed_dictionaries(arguments))] * weight)
        return happening

    return note


class Histories(RuleBasedStateMachine):
    """One account with a clock that moves at each step."""

    drawer: Drawer
    template: Installation

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        shutil.copytree(self.template.settings.data_dir, f"{self.folder.name}/data")
        copied = replace(self.template.settings, data_dir=Path(self.folder.name) / "data")
        self.path, self.account_id = copied.store_file, self.template.account_id
        # The installation is of today, and the history begins then.
        self.clock = math.ceil(ask(self.path, "SELECT MAX(recorded_at_ms) FROM events")[0][0] / 1000) + 1.0
        self.loop = asyncio.new_event_loop()
        self.store, self.custody = self.loop.run_until_complete(open_custody(copied))
        self.answers: list[Answer] = []
        self.ids: list[str] = []
        self.steps = 0
        self.person_comes(USERS[0])
        self.person_comes(USERS[1])
        self.cluster_comes(NAMES[0], 0)
        self.cluster_comes(NAMES[1], None)
        self.import_comes(0, {0, 1, 2, 5, 10, 14}, None)
        self.import_comes(1, {0, 1, 3, 6, 11}, USERS[0])
        self.kubeconfig_is_asked_for(0, USERS[0], None)
        self.kubeconfig_is_asked_for(0, USERS[1], 4320)

    def teardown(self) -> None:
        self.compare()
        self.store.close()
        self.loop.close()
        self.folder.cleanup()

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a use case; that it is refused is part of a history."""
        self.clock += 0.001
        try:
            return self.loop.run_until_complete(work)
        except CustodyError:
            return None
        finally:
            self.clock += 0.001

    def use(self, use_case: Callable[..., Any], *arguments: Any, reason: str = "why", **named: Any) -> Any:
        author = Author("os:1/somebody@here", reason=reason)
        return self.do(use_case(self.custody, self.account_id, author, self.clock, *arguments, **named))

    def call(self, operation: str, request: Any, uid: str) -> None:
        """An operation of the API that does more than read, as the server calls it."""
        if uid and not ask(self.path, "SELECT 1 FROM principals WHERE uid = ? AND deleted_at IS NULL", uid):
            return  # whom the server would not let in
        caller, handler = self.caller(uid), get_change_handler(operation)
        author = Author(caller.actor, REQUEST_ID)
        self.do(
            change(
                self.custody.store,
                self.account_id,
                author,
                self.clock,
                lambda unit: handler(self.custody, unit, caller, request),
            )
        )

    def caller(self, uid: str = "") -> Caller:
        sql = "SELECT region_id, iam_version, cluster_count, last_cluster_seq FROM accounts"
        kind = "user" if uid else "account"
        return Caller(self.account_id, uid or self.account_id, kind, "KEY", *ask(self.path, sql)[0])

    # --- what happens

    @rule(chosen=st.deferred(lambda: st.one_of(_STEPS)))
    def something_happens(self, chosen: tuple[str, dict[str, Any]]) -> None:
        name, arguments = chosen
        getattr(self, name)(**arguments)
        self.steps += 1
        if self.steps % 4 == 0:
            self.ask()

    @step(seconds=st.sampled_from([0.5, 1, 7.25, 3600, DAY, 20 * DAY, 200 * DAY]))
    def time_passes(self, seconds: float) -> None:
        self.clock += seconds

    @step(uid=st.sampled_from(USERS))
    def person_comes(self, uid: str) -> None:
        self.use(principals.add_principal, kind=PrincipalKind.USER, name=f"user{uid}", uid=uid)

    @step(uid=st.sampled_from(USERS), what=st.sampled_from(["disable", "enable", "delete"]))
    def person_changes(self, uid: str, what: str) -> None:
        if what == "delete":
            self.use(principals.delete_principal, uid)
        else:
            self.use(principals.set_principal_disabled, uid, disabled=what == "disable")

    @step(name=st.sampled_from(NAMES), ca=st.sampled_from([None, 0, 1]))
    def cluster_comes(self, name: str, ca: int | None) -> None:
        client_ca = None if ca is None else self.drawer.authorities[ca].certificate
        fields = ClusterFields(name=name, client_ca=client_ca, public_endpoint="https://203.0.113.7:6443")
        cluster_id = self.use(clusters.add_cluster, fields)
        if cluster_id:
            self.ids.append(cluster_id)
            self.use(make_signer, cluster_id)

    @step(
        which=st.integers(0, 9), fields=st.sampled_from([("name", "other"), ("told_state", "stopped"), ("name", "x")])
    )
    def cluster_changes(self, which: int, fields: tuple[str, str]) -> None:
        self.use(clusters.set_cluster, self.cluster(which), ClusterFields(**{fields[0]: fields[1]}))

    @step(which=st.integers(0, 9), cas=st.sets(st.integers(0, 2), min_size=1))
    def trust_changes(self, which: int, cas: set[int]) -> None:
        self.use(clusters.set_cluster, self.cluster(which), ClusterFields(client_ca=self.bundle(cas)))

    @step(which=st.integers(0, 9), purge=st.booleans())
    def cluster_goes(self, which: int, purge: bool) -> None:
        self.use(clusters.delete_cluster, self.cluster(which))
        if purge:
            self.use(clusters.purge_cluster, self.cluster(which))

    @step(
        which=st.integers(0, 9),
        reachable=st.booleans(),
        uid=st.sampled_from(["a", "a", "b"]),
        cas=st.one_of(st.none(), st.sets(st.integers(0, 2), min_size=1)),
    )
    def cluster_is_looked_at(self, which: int, reachable: bool, uid: str, cas: set[int] | None) -> None:
        seen = Look(reachable, "v1.33.1", uid, None if cas is None else self.bundle(cas)) if reachable else Look()

        async def look(unit: Change) -> None:
            cluster = await clusters.get_cluster(unit.tx, self.account_id, self.cluster(which))
            if cluster.deleted_at is None:
                await observing.record_look(unit, cluster, seen)

        self.do(change(self.custody.store, self.account_id, Author("observer"), self.clock, look))

    @step(
        which=st.integers(0, 9),
        chosen=st.sets(st.integers(0, 14), min_size=1, max_size=5),
        holder=st.sampled_from([None, None, *USERS]),
    )
    def import_comes(self, which: int, chosen: set[int], holder: str | None) -> None:
        candidates = [self.drawer.candidates[number] for number in sorted(chosen)]
        self.use(import_credentials, candidates, which_cluster=self.cluster(which), holder=holder)

    @step(which=st.integers(0, 9), chosen=st.integers(0, 14), holder=st.sampled_from(USERS))
    def credential_is_assigned(self, which: int, chosen: int, holder: str) -> None:
        leaf = self.drawer.candidates[chosen].leaf
        assert leaf is not None
        self.use(assign_holder, which_cluster=self.cluster(which), fingerprint=leaf.fingerprint_hex, holder=holder)

    @step(3, which=st.integers(0, 9), uid=st.sampled_from(USERS), minutes=st.sampled_from([None, 15, 4320]))
    def kubeconfig_is_asked_for(self, which: int, uid: str, minutes: int | None) -> None:
        request = UserKubeconfigInput(self.cluster(which), temporary_duration_minutes=minutes)
        self.call("DescribeClusterUserKubeconfig", request, uid)

    @step(3, which=st.integers(0, 9), uid=st.sampled_from(USERS), clean=st.booleans())
    def removal_is_asked_for(self, which: int, uid: str, clean: bool) -> None:
        if clean:
            request = CleanInput(self.cluster(which), uid, True)
            self.call("CleanClusterUserPermissions", request, "")
        else:
            self.call("RevokeK8sClusterKubeConfig", RevokeInput(self.cluster(which)), uid)

    @step(3, which=st.integers(0, 9), uid=st.sampled_from(USERS), back=st.booleans())
    def removal_is_attested(self, which: int, uid: str, back: bool) -> None:
        use_case = withdraw_attestation if back else attest_removal
        self.use(use_case, which_cluster=self.cluster(which), selection=Selection(user=uid), reason=f"for {uid}")

    @step(3, which=st.integers(0, 9), holds=st.booleans())
    def removal_is_proved(self, which: int, holds: bool) -> None:
        """As a pass over a real cluster concludes, which only an API server can make happen."""
        known = [StoredEvidence("binding_scan", "", "refused" if holds else "allowed", "told", int(self.clock))]

        async def conclude(unit: Change) -> None:
            cluster = await clusters.get_cluster(unit.tx, self.account_id, self.cluster(which))
            for one in await list_wanted_removals(unit.tx, self.account_id, cluster.seq, unit.at):
                await proving._conclude(unit, cluster, one, holds, "told", known)

        self.do(change(self.custody.store, self.account_id, Author("observer"), self.clock, conclude))

    @step(3, chosen=st.integers(0, 9))
    def credential_is_restored(self, chosen: int) -> None:
        sql = (
            "SELECT c.cluster_id, k.fingerprint FROM credentials AS k JOIN clusters AS c ON c.seq = k.cluster_seq "
            "WHERE k.removal_requested_at IS NOT NULL"
        )
        removed = ask(self.path, sql)
        if not removed:
            return
        cluster_id, fingerprint = removed[chosen % len(removed)]
        request = RestoreCredentialInput(cluster_id, fingerprint.hex(), "not theirs")

        caller = self.caller()

        async def judge(_: Change) -> Caller:
            return caller

        act = Act(self.custody, caller, Author(caller.actor, REQUEST_ID), lambda: self.clock, judge)
        self.do(restoring.restore_credential(act, request))

    def cluster(self, which: int) -> str:
        return self.ids[which % len(self.ids)] if self.ids else "none"

    def bundle(self, cas: set[int]) -> bytes:
        return b"".join(self.drawer.authorities[number].certificate for number in sorted(cas))

    # --- what is answered

    def ask(self) -> None:
        """Record the answers of this moment; the pages are of all sizes in turn."""
        page, size = PAGES[len(self.answers) % len(PAGES)]
        self.clock = float(math.ceil(self.clock + 0.001))
        at = int(self.clock)
        for uid in (*USERS, ""):
            for detail in (False, True):
                self.record(at, ListUserKubeConfigStatesInput(uid or self.account_id, page, size, detail))
        for cluster_id in self.ids:
            self.record(at, ListClusterKubeconfigStatesInput(cluster_id, page, min(size, 50)))
        self.record(at, ListCredentialsInput(max_results=200))
        self.record(at, ListCredentialsInput(uid=USERS[0], state="Live", max_results=200))
        self.clock += 0.001

    def record(self, at: int, request: Any) -> None:
        self.answers.append(Answer(at, request, self.told(request, at)))

    def told(self, request: Any, now: float) -> Any:
        use_case = USE_CASES[type(request)]
        read = partial(use_case, caller=self.caller(), request=request, now=now)

        async def work(tx: Transaction) -> Any:
            return await read(tx)

        try:
            return msgspec.to_builtins(self.loop.run_until_complete(self.custody.store.read(work)))
        except (UserNotFound, ClusterNotFound) as error:
            return error.code

    def compare(self) -> None:
        """Everything that was ever answered, asked for again."""
        for answer in self.answers:
            request = msgspec.structs.replace(answer.request, at=format_time(answer.at))
            then, now = answer.told, self.told(request, self.clock + 1)
            if isinstance(then, dict) and getattr(request, "detail", False):
                then = {**then, "states": [without_what_is_kept_newest_only(state) for state in then["states"]]}
            if isinstance(then, dict) and isinstance(request, ListCredentialsInput):
                then, now = by_number(then), by_number(now)
            assert now == then, request


def by_number(answer: dict[str, Any]) -> dict[str, Any]:
    """The list of the past is by number; that of one person now is by cluster."""
    rows = [{**row, "holder_name": ""} for row in answer["credentials"]]
    return {**answer, "credentials": sorted(rows, key=lambda row: (row["cluster_id"], row["fingerprint"]))}


def without_what_is_kept_newest_only(state: dict[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in state.items() if name not in ("can_get_in", "observed_at")}
    told["cert_state_reason"] = told["cert_state_reason"].partition(" Its removal was asked for.")[0]
    told["live_credentials"] = [{**one, "removal_evidence": []} for one in told["live_credentials"]]
    return told


def test_the_past_is_what_was_answered_then(tmp_path: Path) -> None:
    Histories.drawer, Histories.template = make_drawer(), make_installation(tmp_path)
    run_state_machine_as_test(
        Histories,
        settings=settings(
            max_examples=10,
            stateful_step_count=45,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),  # shrinking takes longer than reading what failed
        ),
    )


def test_the_statements_read_the_kinds_that_are_folded() -> None:
    for name, kinds in (
        ("list_steps_of_cluster", CLUSTER_KINDS),
        ("list_steps_of_credential", CREDENTIAL_KINDS),
        ("list_steps_of_person", PERSON_KINDS),
    ):
        listed = re.search(r"kind IN \((.*?)\)", all_statements()[name].sqlite, re.DOTALL)
        assert listed and set(re.findall(r"'(\w+)'", listed[1])) == kinds
