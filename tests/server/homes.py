"""A served installation with clusters that issue, and people and sessions that call: for tests of who may do what."""

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wire import NO_ADDRESS_LIMIT, Answer, Pair, Place, call, check_error

from custody.books import check_books
from installations import AUTHOR, make_installation, serving
from kubecustody.catalogue.operations import get_operation
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.clusters import ClusterFields, add_cluster
from kubecustody.custody.installation import Custody, add_account
from kubecustody.custody.policies import put_policy, set_attachment
from kubecustody.custody.principals import NewAccessKey, add_access_key, add_principal
from kubecustody.custody.session_tokens import Session
from kubecustody.custody.sessions import NewSession, begin_session
from kubecustody.custody.signers import make_signer

FULL = "AliyunCSFullAccess"
READ_ONLY = "AliyunCSReadOnlyAccess"

GET = "DescribeClusterUserKubeconfig"
GET_V2 = "DescribeClusterV2UserKubeconfig"
GET_FOR = "DescribeSubaccountK8sClusterUserConfig"
EXPIRE = "UpdateK8sClusterUserConfigExpire"
REVOKE = "RevokeK8sClusterKubeConfig"
ISSUE = "IssueCredential"
CLEAN_ONE = "CleanClusterUserPermissions"
CLEAN = "CleanUserPermissions"
STATES = "ListUserKubeConfigStates"
HOLDERS = "ListClusterKubeconfigStates"
LIST = "DescribeClustersV1"

Who = str | NewAccessKey | NewSession


def document(*statements: Mapping[str, Any]) -> str:
    """A policy document; what a statement does not say is an Allow on every resource."""
    listed = [{"Effect": "Allow", "Resource": "*", **statement} for statement in statements]
    return json.dumps({"Version": "1", "Statement": listed})


@dataclass
class Home(Place):
    """Clusters that issue; `people` have keys."""

    clusters: list[str]
    people: dict[str, NewAccessKey] = field(default_factory=dict)

    def ask(
        self,
        who: Who,
        operation: str,
        cluster: str = "",
        *,
        query: tuple[Pair, ...] = (),
        body: Any = None,
        added: tuple[Pair, ...] = (),
        uid: str = "",
        **path: str,
    ) -> Answer:
        """The answer to an operation of the catalogue, with the cluster and the uid wherever its path has them."""
        known = get_operation(operation)
        values = {"ClusterId": cluster, "cluster_id": cluster, "Uid": uid, "uid": uid, **path}
        target = known.path.format(**{**values, "task_id": path.get("task_id", "")})
        data = b"" if body is None else json.dumps(body).encode()
        more: dict[str, Any] = {"method": known.method, "action": operation, "body": data, "added": added}
        if isinstance(who, NewSession):
            key = NewAccessKey(who.session.access_key_id, who.session.secret, who.session.uid)
            return call(self.server, key, target, query, security_token=who.token, **more)
        return call(self.server, self.people[who] if isinstance(who, str) else who, target, query, **more)

    def add(self, name: str, *policies: str, kind: PrincipalKind = PrincipalKind.USER) -> NewAccessKey:
        uid = self.installation.change(add_principal, kind=kind, name=name)
        for policy in policies:
            self.attach(policy, name)
        self.people[name] = self.installation.change(add_access_key, uid)
        return self.people[name]

    def attach(self, policy: str, name: str, *, attached: bool = True) -> None:
        self.installation.change(set_attachment, policy, attached=attached, user=name)

    def put(self, name: str, *statements: Mapping[str, Any]) -> str:
        self.installation.change(put_policy, name, document(*statements))
        return name

    def allow(self, name: str, *statements: Mapping[str, Any]) -> NewAccessKey:
        """A new user with a policy of their own of these statements."""
        return self.add(name, self.put(f"of-{name}", *statements))

    def begin(self, role: str, *, policy: str = "", name: str = "cli", seconds: int = 900, **more: Any) -> NewSession:
        begun = self.installation.change(begin_session, role, name=name, seconds=seconds, policy=policy, **more)
        assert isinstance(begun, NewSession) and isinstance(begun.session, Session)
        return begun

    def arn(self, cluster: str) -> str:
        return f"acs:cs:*:{self.installation.account_id}:cluster/{cluster}"

    def refusal(self, answer: Answer, code: str = "StatusForbidden") -> str:
        """The error's message, once everything that every error promises was checked."""
        return check_error(answer, code, self.server.url)

    @property
    def path(self) -> Path:
        return self.installation.settings.store_file

    def second_account(self) -> NewAccessKey:
        """The key of another account of this installation, which has nothing."""

        async def work(custody: Custody) -> NewAccessKey:
            account = await add_account(custody, AUTHOR, time.time(), name="second", region_id="elsewhere")
            return await add_access_key(custody, account, AUTHOR, time.time(), account)

        key = self.installation.run(work)
        assert isinstance(key, NewAccessKey)
        return key


@contextlib.contextmanager
def served_home(folder: Path, clusters: int = 2, **settings: str) -> Iterator[Home]:
    """A home with an account, and so many clusters with a public address; the books are checked in the end."""
    installation = make_installation(folder)
    ids = []
    for number in range(clusters):
        fields = ClusterFields(name=f"cluster-{number}", public_endpoint=f"https://203.0.113.{number}:6443")
        ids.append(installation.change(add_cluster, fields))
        installation.change(make_signer, ids[-1])
    with serving(installation, **{**NO_ADDRESS_LIMIT, **settings}) as server:
        yield Home(installation, server, ids, {"account": installation.key})
    check_books(installation.settings.store_file)
