"""What a report says of a cluster beyond what each look sees: this server's rights, the signer, its access.

Asked when a cluster is registered and when somebody tests it, and not in each round: it is thirty questions.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from kubecustody.cluster.access import Life, find_life
from kubecustody.cluster.client import Cluster as Reached
from kubecustody.cluster.errors import ClusterError
from kubecustody.core.errors import OperatorError
from kubecustody.core.profiles import OwnSigner, Profile, Right, nearly_admin, rights_of
from kubecustody.custody.installation import Custody
from kubecustody.custody.observing import Finding
from kubecustody.custody.renewing import GIVE_ANOTHER, have_signed, tell_end, why_not_signed
from kubecustody.pki.certificate_requests import make_certificate_request
from kubecustody.pki.client_certificates import KeyType, make_key

TRIAL = "kubecustody:signer-trial"  # of a certificate that nobody is permitted anything by, and whose key is not kept
MANAGED = "manage"
_TRIAL_SECONDS = 600
_LONGEST_SECONDS = 30
_ASKED_AT_ONCE = 4


class Question(NamedTuple):
    """One thing that may be allowed."""

    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """For a message: the verb and on what."""
        what = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        named = f" {self.name}" if self.name else ""
        return f"{self.verb} {what}{named}" + (f" in {self.namespace}" if self.namespace else "")


EVERYTHING = Question("*", "*", "*", "", "", "")


async def examine(custody: Custody, reached: Reached, mode: str, clock: Callable[[], float]) -> list[Finding]:
    """What else is to be told of a cluster that answers. mode: none, observe or manage."""
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            allowed = await _ask_all(reached)
            signs = all(allowed[one] for one in _questions(_signing_rights()))
            return [
                _judge_rights(allowed, mode),
                await _try_signer(custody, reached, signs=signs, is_managed=mode == MANAGED),
                await _judge_access(reached, clock, signs=signs and mode == MANAGED),
            ]
    except TimeoutError:
        return [Finding("time", False, f"The rest was not looked at within {_LONGEST_SECONDS} s.")]
    except ClusterError as error:
        return [Finding("rights", False, str(error))]


# --- rights


def _signing_rights() -> tuple[Right, ...]:
    without = rights_of(Profile.FULL, OwnSigner.NONE)
    return tuple(one for one in rights_of(Profile.FULL, OwnSigner.CSR) if one not in without)


def _questions(rights: Iterable[Right]) -> Iterator[Question]:
    for right in rights:
        for verb in right.verbs:
            for resource in right.resources:
                plain, _, subresource = resource.partition("/")
                for name in right.names or ("",):
                    yield Question(verb, right.group, plain, subresource, right.namespace, name)


async def _ask_all(reached: Reached) -> dict[Question, bool]:
    """What this server may of all that a profile has, asked a few at a time."""
    slots = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def ask(one: Question) -> bool:
        async with slots:
            return await reached.can_i(
                one.verb,
                one.group,
                one.resource,
                namespace=one.namespace,
                name=one.name,
                subresource=one.subresource,
            )

    questions = [EVERYTHING, *dict.fromkeys(_questions(rights_of(Profile.FULL, OwnSigner.CSR)))]
    return dict(zip(questions, await asyncio.gather(*map(ask, questions)), strict=True))


def _judge_rights(allowed: Mapping[Question, bool], mode: str) -> Finding:
    if allowed[EVERYTHING]:
        text = "It may do everything, which is more than it needs: `kubecustody clusters bootstrap` makes an account."
        return Finding("rights", True, text)
    lacking = {profile: _lacking(allowed, profile) for profile in Profile}
    needed = Profile.REMOVE if mode == MANAGED else Profile.OBSERVE
    if lacking[needed]:
        text = f"It lacks what the profile {needed} has: {_listed(lacking[needed])}."
        return Finding("rights", False, f"{text} `kubecustody clusters bootstrap --profile {needed}` gives it.")
    profiles = [*Profile]
    has = next(profile for profile in reversed(profiles) if not lacking[profile])
    text = f"Its rights are those of the profile {has}."
    if has is not Profile.FULL:
        more = profiles[profiles.index(has) + 1]
        text += f" The profile {more} has besides: {_listed(lacking[more])}."
    return Finding("rights", True, f"{text} {nearly_admin(has)}")


def _lacking(allowed: Mapping[Question, bool], profile: Profile) -> list[Question]:
    """What of a profile it may not, but for renewing its access, which is judged by itself."""
    return [one for one in _questions(rights_of(profile)) if not allowed[one] and one.subresource != "token"]


def _listed(lacking: list[Question]) -> str:
    return ", ".join(map(str, lacking))


# --- signer, access


async def _try_signer(custody: Custody, reached: Reached, *, signs: bool, is_managed: bool) -> Finding:
    if not signs:
        text = "It may not have the cluster sign (profile full, signer csr): a CA kept here issues, or nothing does."
        return Finding("signer", True, text)
    if not is_managed:
        return Finding("signer", True, "It may have the cluster sign. That it does is tried once it is managed.")
    csr = make_certificate_request(make_key(KeyType.P256), common_name=TRIAL)
    begun = time.monotonic()
    try:
        await have_signed(reached, f"kubecustody-trial-{custody.random_bytes(8).hex()}", csr, _TRIAL_SECONDS)
    except (ClusterError, OperatorError) as error:
        return Finding("signer", False, f"A trial was not signed: {error}")
    return Finding("signer", True, f"The cluster signed a trial, {time.monotonic() - begun:.1f} s after it was asked.")


async def _judge_access(reached: Reached, clock: Callable[[], float], *, signs: bool) -> Finding:
    """When this server's own access ends, and whether it renews itself. signs: the cluster would sign another."""
    life = find_life(reached.access)
    if life is None:
        return Finding("access", True, "This server's access has no end that is known.")
    if await _renews_itself(reached, life, signs=signs):
        return Finding("access", True, f"{tell_end(life)} It is renewed before, by itself.")
    text = f"{tell_end(life)} It cannot be renewed by itself. {GIVE_ANOTHER}"
    return Finding("access", not life.is_renewal_due(clock()), text)


async def _renews_itself(reached: Reached, life: Life, *, signs: bool) -> bool:
    if reached.access.token is None:
        return signs and why_not_signed(reached.access) is None
    return bool(life.name) and await reached.can_i(
        "create", "", "serviceaccounts", namespace=life.namespace, name=life.name, subresource="token"
    )
