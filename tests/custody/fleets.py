"""An account with people and clusters, changed and asked by the use cases themselves, at a fixed time."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from custody.books import ask
from installations import AUTHOR, Installation
from kubecustody.catalogue.states import (
    ListUserKubeConfigStatesInput,
    ListUserKubeConfigStatesOutput,
    UserKubeConfigState,
)
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.authentication import Caller
from kubecustody.custody.changes import Author
from kubecustody.custody.clusters import ClusterFields, add_cluster, set_cluster
from kubecustody.custody.imports import ImportRow, import_credentials
from kubecustody.custody.installation import Custody
from kubecustody.custody.kubeconfig_states import list_user_kubeconfig_states
from kubecustody.custody.principals import add_principal
from kubecustody.custody.removals import AttestedRow, Selection, attest_removal, withdraw_attestation
from kubecustody.kubeconfig.candidates import Candidate, read_candidates

NOW = 1_795_521_600  # 24 November 2026
ANNA, BERT = "2111", "2112"


@dataclass
class Fleet:
    """An installation whose account has the users Anna and Bert; `seen_events` is how many events were asked for."""

    installation: Installation
    account_id: str = ""
    seen_events: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.account_id = self.account_id or self.installation.account_id

    @property
    def path(self) -> Path:
        return self.installation.settings.store_file

    def change(self, use_case: Any, *arguments: Any, author: Author = AUTHOR, now: float = NOW, **named: Any) -> Any:
        async def work(custody: Custody) -> Any:
            return await use_case(custody, self.account_id, author, now, *arguments, **named)

        return self.installation.run(work)

    def add_user(self, name: str, uid: str, **named: Any) -> str:
        return str(self.change(add_principal, kind=PrincipalKind.USER, name=name, uid=uid, **named))

    def add_cluster(self, name: str, client_ca: bytes | None = None) -> str:
        return str(self.change(add_cluster, ClusterFields(name=name, client_ca=client_ca)))

    def trust(self, cluster: str, client_ca: bytes) -> Any:
        return self.change(set_cluster, cluster, ClusterFields(client_ca=client_ca))

    def take(self, data: bytes | list[Candidate], cluster: str = "prod", **named: Any) -> list[ImportRow]:
        candidates = read_candidates(data, "file") if isinstance(data, bytes) else data
        rows = self.change(import_credentials, candidates, which_cluster=cluster, **named)
        assert isinstance(rows, list)
        return rows

    def take_one(self, data: bytes, cluster: str = "prod", **named: Any) -> ImportRow:
        (row,) = self.take(data, cluster, **named)
        return row

    def attest(self, cluster: str = "prod", *, reason: str = "test", **selection: str) -> list[AttestedRow]:
        author = Author(AUTHOR.actor, reason=reason)
        rows = self.change(attest_removal, which_cluster=cluster, selection=Selection(**selection), author=author)
        assert isinstance(rows, list)
        return rows

    def withdraw(self, cluster: str = "prod", **selection: str) -> list[AttestedRow]:
        rows = self.change(withdraw_attestation, which_cluster=cluster, selection=Selection(**selection))
        assert isinstance(rows, list)
        return rows

    def states(self, uid: str, now: float = NOW) -> list[UserKubeConfigState]:
        """What the API answers about a person, with detail."""
        sql = "SELECT region_id, iam_version, cluster_count, last_cluster_seq FROM accounts WHERE account_id = ?"
        caller = Caller(self.account_id, self.account_id, "account", "KC", *ask(self.path, sql, self.account_id)[0])
        request = ListUserKubeConfigStatesInput(uid=uid, page_size=100, detail=True)
        read = partial(list_user_kubeconfig_states, caller=caller, request=request, now=now)

        async def work(custody: Custody) -> ListUserKubeConfigStatesOutput:
            return await custody.store.read(read)

        answer = self.installation.run(work)
        assert answer.page.total_count == len(answer.states)
        return list(answer.states)

    def row(self, uid: str, cluster: str = "prod", now: float = NOW) -> UserKubeConfigState:
        """What the API answers about a person in one cluster."""
        (found,) = [state for state in self.states(uid, now) if state.cluster_name == cluster]
        return found

    def state(self, uid: str, cluster: str = "prod", now: float = NOW) -> str:
        return str(self.row(uid, cluster, now).cert_state)

    def new_events(self) -> list[str]:
        """The kinds of the events that came since this was asked last."""
        sql = "SELECT kind FROM events WHERE account_id = ? AND event_no > ? ORDER BY event_no"
        kinds = [kind for (kind,) in ask(self.path, sql, self.account_id, self.seen_events)]
        self.seen_events += len(kinds)
        return kinds
