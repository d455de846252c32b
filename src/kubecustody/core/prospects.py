"""What becomes of a credential whose removal is asked, as far as that can be foreseen."""

from enum import StrEnum
from typing import NamedTuple

from kubecustody.core.states import Credential, is_live


class Prospect(StrEnum):
    """What is to be expected."""

    NOTHING = "nothing"
    PROOF = "proof"
    ATTESTATION = "attestation"
    WISH = "wish"
    LIVES_ON = "lives_on"


class Keeping(NamedTuple):
    """How a cluster is kept. managed: its bindings are written by this server; attests: what is cleaned there counts as
    removed on its operator's word.
    """

    managed: bool
    attests: bool


def foresee(credential: Credential, keeping: Keeping, now: float) -> Prospect:
    """What asking the removal of this credential would lead to; the first that holds.

    1. What cannot get in any more has nothing to lose.
    2. A member of system:masters passes every authorizer, so it lives on whatever is unbound.
    3. Where the operator gave their word beforehand, the word counts; a cluster that is kept proves it later.
    4. Where this server keeps the bindings, it takes them away and proves it.
    5. Else the wish is recorded, and it lives until somebody unbinds it or it ends.
    """
    if not is_live(credential, now):
        return Prospect.NOTHING
    if credential.masters:
        return Prospect.LIVES_ON
    if keeping.attests:
        return Prospect.ATTESTATION
    return Prospect.PROOF if keeping.managed else Prospect.WISH
