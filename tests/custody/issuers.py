"""A cluster that issues, and people who ask for kubeconfigs of it: the use cases themselves, at a fixed time."""

import base64
from dataclasses import replace
from typing import Any

import yaml

from custody.books import ask, tell
from custody.fleets import ANNA, BERT, NOW, Fleet
from kubecustody.catalogue.kubeconfigs import (
    CleanInput,
    ExpireInput,
    KubeconfigOutput,
    RevokeInput,
    SubaccountKubeconfigInput,
    UserKubeconfigInput,
)
from kubecustody.custody.authentication import Caller
from kubecustody.custody.changes import Author, change
from kubecustody.custody.clusters import ClusterFields, set_cluster
from kubecustody.custody.handlers import get_change_handler
from kubecustody.custody.installation import Custody
from kubecustody.custody.signers import make_signer
from kubecustody.pki.certificates import Certificate, load_certificates

REQUEST_ID = "00000000-0000-4000-8000-000000000001"
DAY = 86_400


class Issuer:
    """The fleet's cluster `prod` with a CA made here and both addresses; what its people ask of the API."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        ((self.cluster_id,),) = ask(fleet.path, "SELECT cluster_id FROM clusters WHERE name = 'prod'")
        self.set(public_endpoint="https://203.0.113.7:6443", private_endpoint="https://10.0.0.7:6443")
        fleet.change(make_signer, "prod")
        fleet.new_events()

    def set(self, **fields: Any) -> None:
        self.fleet.change(set_cluster, "prod", ClusterFields(**fields))

    def configure(self, **settings: Any) -> None:
        self.fleet.installation.settings = replace(self.fleet.installation.settings, **settings)

    def call(self, operation: str, request: Any, uid: str = ANNA, kind: str = "user", now: float = NOW) -> Any:
        caller = Caller(self.fleet.account_id, uid, kind, "KEY", "local", 1, 1, 1)
        handler = get_change_handler(operation)

        async def work(custody: Custody) -> Any:
            author = Author(caller.actor, REQUEST_ID)
            return await change(
                custody.store, caller.account_id, author, now, lambda unit: handler(custody, unit, caller, request)
            )

        return self.fleet.installation.run(work)

    def get(self, uid: str = ANNA, *, minutes: int | None = None, private: bool = False, now: float = NOW) -> Any:
        request = UserKubeconfigInput(self.cluster_id, private, minutes)
        return self.call("DescribeClusterUserKubeconfig", request, uid, now=now)

    def get_for(self, uid: str) -> KubeconfigOutput:
        request = SubaccountKubeconfigInput(self.cluster_id, uid)
        answer = self.call("DescribeSubaccountK8sClusterUserConfig", request, self.fleet.account_id, "account")
        assert isinstance(answer, KubeconfigOutput)
        return answer

    def set_validity(self, hours: int, uid: str = ANNA, now: float = NOW) -> None:
        request = ExpireInput(self.cluster_id, hours, uid)
        self.call("UpdateK8sClusterUserConfigExpire", request, self.fleet.account_id, "account", now)

    def revoke(self, uid: str = ANNA, now: float = NOW) -> None:
        self.call("RevokeK8sClusterKubeConfig", RevokeInput(self.cluster_id), uid, now=now)

    def clean(self, uid: str = ANNA, by: str = BERT, *, force: bool = True, now: float = NOW) -> None:
        self.call("CleanClusterUserPermissions", CleanInput(self.cluster_id, uid, force), by, now=now)

    def wishes(self, uid: str = ANNA) -> list[int | None]:
        """When the removal of each of the person's credentials was asked for, in the order of issue."""
        sql = "SELECT removal_requested_at FROM credentials WHERE uid = ? ORDER BY credential_no"
        return [at for (at,) in ask(self.fleet.path, sql, uid)]

    def observe(self, *, reachable: bool) -> None:
        """As if a probe had tried the cluster."""
        sql = (
            "INSERT INTO cluster_observations (account_id, cluster_seq, reachable, observed_at) "
            "SELECT account_id, seq, ?, ? FROM clusters WHERE name = 'prod'"
        )
        tell(self.fleet.path, sql, int(reachable), NOW)


def document_of(answer: Any) -> Any:
    return yaml.safe_load(answer.config)


def certificate_of(answer: Any) -> Certificate:
    data = document_of(answer)["users"][0]["user"]["client-certificate-data"]
    (certificate,) = load_certificates(base64.b64decode(data))
    return certificate
