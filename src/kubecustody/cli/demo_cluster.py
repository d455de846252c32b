"""`kubecustody demo --control-plane`: two people on a real cluster, one removed, one renewed, and kubectl's answers.

Nothing is made up: the API server is a real one, the cluster itself signs what people get, each state is asked of the
server, and each answer is kubectl's, or where that is not installed, that of the same request sent by this program.
"""

import asyncio
import json
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from rich.table import Table
from rich.text import Text

from kubecustody.catalogue.permissions import GrantedPermission
from kubecustody.catalogue.registering import ManageClusterOutput
from kubecustody.catalogue.states import UserKubeConfigState
from kubecustody.cli.bootstrapping import EVERYTHING, set_up
from kubecustody.cli.control_plane import ControlPlane, Identity, find_kubectl, find_programs
from kubecustody.cli.initialise import all_hosts, initialise
from kubecustody.cli.machine import actor
from kubecustody.cli.output import console, printable, say
from kubecustody.cli.own_kubeconfigs import own_kubeconfig
from kubecustody.client import ApiError, Client, Endpoint
from kubecustody.cluster.access import access_from_kubeconfig
from kubecustody.core.errors import OperatorError
from kubecustody.core.names import PrincipalKind
from kubecustody.core.states import CertState
from kubecustody.core.times import format_time
from kubecustody.custody.changes import Author
from kubecustody.custody.installation import open_custody
from kubecustody.custody.policies import put_policy, set_attachment
from kubecustody.custody.principals import NewAccessKey, add_access_key, add_principal
from kubecustody.pki.certificates import load_certificates
from kubecustody.pki.issuing import PemPair, make_ca
from kubecustody.settings import Settings

REGION = "local"
CLUSTER = "demo"
ROLES = {"alice": "admin", "bob": "ops"}
ASKED = "get namespaces"
_WIDTH = 100
_WHAT_IS_LEFT = (
    "No API server reads a list of revoked ones: it still says who she is, and nobody lets that name do anything any "
    "more. What that does not end: docs/explanation/life-without-a-crl.md"
)
_LONGEST_WAIT_SECONDS = 60
# What a person needs to get a kubeconfig of their own, and to have it replaced.
_OWN_KUBECONFIG = {
    "Version": "1",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["cs:DescribeClusterUserKubeconfig", "cs:RevokeK8sClusterKubeConfig"],
            "Resource": "*",
        }
    ],
}

T = TypeVar("T")


class Stopped(Exception):
    """The demo was stopped while it told its story."""


class Seen(NamedTuple):
    """What a person's kubeconfig got from the cluster."""

    may: bool
    text: str


class Shown(NamedTuple):
    """One kubeconfig in the end: whose, what the cluster answers it, its state, and why that is so."""

    who: str
    may: bool
    answer: str
    cert_state: str
    reason: str


@dataclass(slots=True)
class DemoCluster:
    """A control plane that runs, with an installation and its people; `keys` by account, alice, bob."""

    plane: ControlPlane
    started_seconds: float
    keys: dict[str, NewAccessKey]
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def account_id(self) -> str:
        """The account's ID."""
        return self.keys["account"].uid


@contextmanager
def started_cluster(settings: Settings, folder: Path) -> Iterator[DemoCluster]:
    """A control plane in a folder, and an installation with alice and bob; all of it is stopped in the end.

    Raises ProgramsMissing, StartFailed. It must be called by the main thread.
    """
    programs = find_programs()
    folder.mkdir()
    started = time.monotonic()
    with ControlPlane(folder, programs, make_ca("client CA of the demo", int(time.time()), 365)) as plane:
        seconds = time.monotonic() - started
        account_key = initialise(settings, all_hosts(()), account_name="demo", account_id=None, region_id=REGION)
        keys = asyncio.run(_add_people(settings, account_key.uid))
        cluster = DemoCluster(plane, seconds, {"account": account_key, **keys})
        try:
            yield cluster
        finally:
            cluster.stopping.set()


async def _add_people(settings: Settings, account_id: str) -> dict[str, NewAccessKey]:
    """The people's access keys, each good for their own kubeconfigs alone."""
    store, custody = await open_custody(settings)
    author, keys = Author(actor(), reason="demo"), {}
    try:
        await put_policy(custody, account_id, author, time.time(), "OwnKubeconfig", json.dumps(_OWN_KUBECONFIG))
        for name in ROLES:
            await add_principal(custody, account_id, author, time.time(), kind=PrincipalKind.USER, name=name)
            await set_attachment(custody, account_id, author, time.time(), "OwnKubeconfig", attached=True, user=name)
            keys[name] = await add_access_key(custody, account_id, author, time.time(), name)
    finally:
        store.close()
    return keys


class Story:
    """What happens to alice and bob. `tell` is given each line; `kubeconfigs` and `shown` are there in the end."""

    def __init__(self, cluster: DemoCluster, url: str, tell: Callable[[str], None]) -> None:
        self._cluster, self._tell = cluster, tell
        self._stack = ExitStack()
        self._clients = {
            name: self._stack.enter_context(Client(Endpoint(url, key.access_key_id, key.secret)))
            for name, key in cluster.keys.items()
        }
        self._owner = self._clients["account"]
        self.cluster_id = ""
        self.kubeconfigs: dict[str, str] = {}
        self.shown: list[Shown] = []
        self.seconds_to_proof: dict[str, float] = {}

    def run(self) -> None:
        """Let it happen, from the first step to the last. Raises OperatorError, Stopped."""
        try:
            with self._stack:
                self._begin()
                self._register()
                self._manage()
                self._issue()
                self._grant()
                self._remove_and_renew()
        except ApiError as error:
            raise OperatorError(str(error)) from error

    def uid_of(self, name: str) -> str:
        """A person's ID."""
        return self._cluster.keys[name].uid

    def _begin(self) -> None:
        version = self._cluster.plane.ask("GET", "/version").document["gitVersion"].removeprefix("v")
        self._tell(
            f"A real control plane: Kubernetes {version}, ready after {self._cluster.started_seconds:.1f} s "
            f"at {self._cluster.plane.url}"
        )
        if find_kubectl() is None:
            self._tell("kubectl is not installed: this program sends the requests that kubectl would send.")

    def _register(self) -> None:
        self._step(1, "An administrator makes an account for this server, by which the cluster is registered.")
        self._command(f"clusters bootstrap --context admin --name {CLUSTER}")
        made: list[str] = []
        access = access_from_kubeconfig(self._cluster.plane.kubeconfig().encode())
        token = asyncio.run(set_up(access, EVERYTHING, made.append))
        self._tell(f"  {len(made) - 1} objects are made: kubecustody clusters profiles full    # shows them, and why")
        report = self._owner.register_cluster(own_kubeconfig(access, access.endpoint, token), CLUSTER)
        self.cluster_id = report.cluster_id
        self._tell(f"  It is cluster {self.cluster_id} here.")
        for finding in report.findings:
            if finding.what in ("version", "identity", "client_ca"):
                self._tell(f"  {finding.text}")

    def _manage(self) -> None:
        self._step(2, "It is managed: its bindings are kept as they are wanted here, and it signs what people get.")
        self._command("clusters plan <cluster>")
        plan = self._owner.manage_cluster(self.cluster_id)
        self._tell_plan(plan)
        self._command(f"clusters manage <cluster> --plan {plan.plan_hash[:8]}...")
        self._owner.manage_cluster(self.cluster_id, plan_hash=plan.plan_hash)

    def _tell_plan(self, plan: ManageClusterOutput) -> None:
        for step in plan.steps:
            self._tell(f"  {step.what} {step.binding}")
        if not plan.steps:
            self._tell("  Nothing is to be changed.")

    def _issue(self) -> None:
        self._step(3, "alice and bob get their kubeconfigs. Nothing is permitted to them yet.")
        self._command("call DescribeClusterUserKubeconfig ClusterId=<cluster>    # each with their own key")
        for name in ROLES:
            self.kubeconfigs[name] = self._get_kubeconfig(name)
            self._answer(name, self._try(self.kubeconfigs[name]))

    def _grant(self) -> None:
        self._step(4, "alice is made an administrator, bob an operator.")
        for name, role in ROLES.items():
            self._command(f"call GrantPermissions uid=<{name}> ...    # role_name: {role}")
            self._owner.grant_permissions(self.uid_of(name), [GrantedPermission(self.cluster_id, role, "cluster")])
        for name in ROLES:
            self._answer(name, self._until_let_in(name))

    def _remove_and_renew(self) -> None:
        self._step(5, "alice leaves, and is removed. bob's kubeconfig got lost: he has it replaced.")
        self._command("call CleanClusterUserPermissions ... Uid=<alice> Force=true AllowLastAdmin=true")
        asked = time.monotonic()
        self._owner.clean_cluster_user_permissions(
            self.cluster_id, self.uid_of("alice"), force=True, allow_last_admin=True
        )
        alice = self._until(lambda row: row.cert_state == CertState.REMOVED, lambda: self._row("alice"))
        self._proved("alice", asked)
        old = self.kubeconfigs["bob"]
        self._command("call RevokeK8sClusterKubeConfig ClusterId=<cluster>    # with bob's key")
        asked = time.monotonic()
        self._clients["bob"].revoke_k8s_cluster_kube_config(self.cluster_id)
        self.kubeconfigs["bob"], self.kubeconfigs["bob-old"] = self._get_kubeconfig("bob"), old
        bob = self._until(lambda row: row.live_credential_count == 1, lambda: self._row("bob"))
        self._proved("bob-old", asked)
        self._until_let_in("bob")
        self._step(6, "What each of the three kubeconfigs gets now:")
        self.shown = [
            self._shown("alice", "alice", str(alice.cert_state), alice),
            self._shown("bob, the lost one", "bob-old", CertState.REMOVED, None),
            self._shown("bob, the new one", "bob", str(bob.cert_state), bob),
        ]

    def _shown(self, who: str, name: str, state: str, row: UserKubeConfigState | None) -> Shown:
        seen = self._try(self.kubeconfigs[name])
        reason = str(row.cert_state_reason) if row else "It is none of bob's live credentials any more."
        self._answer(who, seen)
        return Shown(who, seen.may, seen.text, state, reason)

    def _proved(self, name: str, asked: float) -> None:
        self.seconds_to_proof[name] = round(time.monotonic() - asked, 2)
        self._tell(f"  Proved powerless {self.seconds_to_proof[name]:.2f} s later.")

    # --- asking

    def _get_kubeconfig(self, name: str) -> str:
        return self._clients[name].describe_cluster_user_kubeconfig(self.cluster_id).config

    def _row(self, name: str) -> UserKubeConfigState:
        return self._owner.list_user_kube_config_states(uid=self.uid_of(name), detail=True).states[0]

    def _try(self, kubeconfig: str) -> Seen:
        return ask_as(self._cluster.plane, kubeconfig)

    def _until_let_in(self, name: str) -> Seen:
        return self._until(lambda seen: seen.may, lambda: self._try(self.kubeconfigs[name]))

    def _until(self, well: Callable[[T], bool], look: Callable[[], T]) -> T:
        ends = time.monotonic() + _LONGEST_WAIT_SECONDS
        while not well(seen := look()):
            if self._cluster.stopping.is_set():
                raise Stopped
            if time.monotonic() > ends:
                raise OperatorError(f"The demo waited {_LONGEST_WAIT_SECONDS} s in vain. Last was seen: {seen}")
            time.sleep(0.05)
        return seen

    # --- telling

    def _step(self, number: int, text: str) -> None:
        if self._cluster.stopping.is_set():
            raise Stopped
        self._tell(f"\n{number}. {text}")

    def _command(self, words: str) -> None:
        self._tell(f"  $ kubecustody {words}")

    def _answer(self, name: str, seen: Seen) -> None:
        self._tell(f"  {name} $ kubectl {ASKED}")
        self._tell(textwrap.fill(seen.text, _WIDTH, initial_indent="    ", subsequent_indent="    "))


def ask_as(plane: ControlPlane, kubeconfig: str) -> Seen:
    """What a kubeconfig gets that asks for the namespaces: by kubectl, or as kubectl would where there is none."""
    if find_kubectl() is not None:
        done = plane.run_kubectl(*ASKED.split(), "-o", "name", kubeconfig=kubeconfig)
        names = done.stdout.replace("namespace/", "").split()
        return Seen(done.returncode == 0, ", ".join(names) or done.stderr.strip())
    access = access_from_kubeconfig(kubeconfig.encode())
    assert access.certificate is not None and access.private_key is not None
    status, document = plane.ask("GET", "/api/v1/namespaces", Identity(PemPair(access.certificate, access.private_key)))
    if status != 200:
        return Seen(False, f"{status}: {document['message']}")
    return Seen(True, ", ".join(one["metadata"]["name"] for one in document["items"]))


def show_side_by_side(story: Story) -> None:
    """The table of the end, in at most 100 columns, and what is left of who was removed."""
    out = console()
    out.width = min(out.width, _WIDTH)
    table = Table("who", "kubectl", "state", "because", header_style="bold", box=None, pad_edge=False)
    for one in story.shown:
        answer = one.answer if one.may else one.answer.partition(":")[0]
        style = "green" if one.may else "red"
        table.add_row(one.who, Text(printable(answer), style=style), one.cert_state, Text(printable(one.reason)))
    out.print("\nSide by side:\n")
    out.print(table)
    access = access_from_kubeconfig(story.kubeconfigs["alice"].encode())
    ends = load_certificates(access.certificate or b"")[0].not_after
    say("")
    say(textwrap.fill(f"alice's certificate itself is good until {format_time(ends)[:10]}. {_WHAT_IS_LEFT}", _WIDTH))


def describe(story: Story, cluster: DemoCluster, url: str) -> dict[str, Any]:
    """What programs need: as of the demo without a control plane, and what the story came to."""
    keys = {
        name: {"uid": key.uid, "access_key_id": key.access_key_id, "access_key_secret": key.secret}
        for name, key in cluster.keys.items()
    }
    return {
        "endpoint": url,
        "region": REGION,
        "account_id": cluster.account_id,
        "keys": keys,
        "uids": {CertState.REMOVED: [story.uid_of("alice")], CertState.UNEXPIRED: [story.uid_of("bob")]},
        "clusters": [story.cluster_id],
        "api_server": cluster.plane.url,
        "kubeconfigs": story.kubeconfigs,
        "shown": [one._asdict() for one in story.shown],
        "seconds_to_proof": story.seconds_to_proof,
    }
