"""RevokeCredential: the removal of one credential is asked for, and of nothing else."""

from dataclasses import replace

from kubecustody.catalogue.credentials import PROSPECTS, RevokeCredentialInput, RevokeCredentialOutput
from kubecustody.cluster.access import load_access
from kubecustody.core.errors import RevokeForbidden
from kubecustody.core.prospects import foresee
from kubecustody.core.states import CertState, is_live, state_of_credential
from kubecustody.core.times import format_time
from kubecustody.custody.authentication import Caller
from kubecustody.custody.changes import Change
from kubecustody.custody.credentials import get_credential
from kubecustody.custody.installation import Custody
from kubecustody.custody.issuing import get_cluster, request_removal
from kubecustody.custody.rehearsing import find_keeping
from kubecustody.pki.certificates import load_certificates
from kubecustody.store.accesses import find_access
from kubecustody.store.finding import CredentialDetails, get_credential_details
from kubecustody.store.fleet import Cluster

_COMPONENT = "system:"


async def revoke_credential(
    custody: Custody, unit: Change, _: Caller, request: RevokeCredentialInput
) -> RevokeCredentialOutput:
    """Ask the removal of one credential.

    Raises ClusterNotFound, CredentialNotFound, CredentialAmbiguous, RevokeForbidden.
    """
    cluster = await get_cluster(unit.tx, unit.account_id, request.cluster_id)
    one = await get_credential(unit.tx, unit.account_id, cluster, request.credential)
    details = await get_credential_details(unit.tx, unit.account_id, one.facts.number)
    await _check_may_be_revoked(custody, unit, cluster, details)
    keeping = await find_keeping(unit.tx, unit.account_id, cluster.seq, cleans=False)
    prospect = foresee(one.facts, keeping, unit.now)
    requested_at = one.facts.removal_requested_at
    state = state_of_credential(one.facts, one.trust_epoch, unit.now)
    changes = is_live(one.facts, unit.now) and requested_at is None
    # That somebody else may have the key is recorded of what was removed before as well: it could be restored.
    marks = request.compromised and state is not CertState.EXPIRED
    if (changes or marks) and not request.dry_run:
        unit.author = replace(unit.author, reason=request.reason.strip())
        await request_removal(
            unit, cluster, one.uid, one.facts.number, details.fingerprint, compromised=request.compromised
        )
        requested_at = unit.at if requested_at is None else requested_at
    return RevokeCredentialOutput(
        fingerprint=details.fingerprint.hex() if details.fingerprint else "",
        uid=one.uid,
        cluster_id=cluster.cluster_id,
        cert_state=state,
        changed=changes,
        removal_requested_at=None if requested_at is None else format_time(requested_at),
        prospect=prospect,
        outlook=PROSPECTS[prospect],
    )


async def _check_may_be_revoked(custody: Custody, unit: Change, cluster: Cluster, details: CredentialDetails) -> None:
    """Raise RevokeForbidden for what the cluster, or this server, would stop without."""
    if details.common_name.startswith(_COMPONENT):
        raise RevokeForbidden(
            f"{details.common_name} is a component of the cluster. Renew its certificate with the cluster's own tools."
        )
    stored = await find_access(unit.tx, unit.account_id, cluster.seq)
    if stored is None or stored.kind != "certificate":
        return
    access = load_access(custody.open_cluster_access(unit.account_id, cluster.seq, stored.sealed))
    own = load_certificates(access.certificate or b"")[0]
    if own.fingerprint == details.fingerprint:
        raise RevokeForbidden("by it this server itself reaches the cluster, and could prove nothing there any more.")
