"""RBAC rules: what they add up to, and whether whoever holds some may grant others.

Kubernetes' own algorithm (k8s.io/component-helpers, auth/rbac/validation/policy_comparator.go, read for 1.37): what is
to be granted is broken into its smallest parts, and each part must be covered whole by one rule that is held.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from kubecustody.core.errors import CustodyError

Rule = Mapping[str, Sequence[str]]  # a PolicyRule: verbs, apiGroups, resources, resourceNames, nonResourceURLs

MOST_COMPARISONS = 2_000_000  # about a second
_ALL = "*"


class TooManyRules(CustodyError):
    """Rules are too many to be compared."""


class Part(NamedTuple):
    """The smallest piece of a rule: one verb on one resource, of one name or of all (""), or on one path."""

    verb: str
    group: str = ""
    resource: str = ""
    name: str = ""
    path: str = ""

    def __str__(self) -> str:
        """For a message: the verb, and on what."""
        if self.path:
            return f"{self.verb} {self.path}"
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {what}" + (f" called {self.name}" if self.name else "")


def parts_of(rules: Iterable[Rule]) -> Iterator[Part]:
    """The smallest pieces of rules."""
    for rule in rules:
        for verb in rule.get("verbs", ()):
            for group in rule.get("apiGroups", ()):
                for resource in rule.get("resources", ()):
                    for name in rule.get("resourceNames", ()) or ("",):
                        yield Part(verb, group, resource, name)
            for path in rule.get("nonResourceURLs", ()):
                yield Part(verb, path=path)


class _Held(NamedTuple):
    verbs: frozenset[str]
    groups: frozenset[str]
    resources: frozenset[str]
    names: frozenset[str]
    paths: tuple[str, ...]

    def covers(self, part: Part) -> bool:
        if not self.verbs & {_ALL, part.verb}:
            return False
        if part.path:
            return any(_covers_path(path, part.path) for path in self.paths)
        if self.names and part.name not in self.names:
            return False
        return bool(self.groups & {_ALL, part.group}) and self._covers_resource(part.resource)

    def _covers_resource(self, resource: str) -> bool:
        _, slash, subresource = resource.partition("/")
        return bool(self.resources & {_ALL, resource, *([f"*/{subresource}"] if slash else ())})


def _covers_path(held: str, path: str) -> bool:
    return held == path or (held.endswith(_ALL) and path.startswith(held.rstrip(_ALL)))


def find_uncovered(held: Iterable[Rule], wanted: Iterable[Rule]) -> Part | None:
    """The first part of what is wanted that nothing held covers. Raises TooManyRules."""
    owned = [
        _Held(
            frozenset(rule.get("verbs", ())),
            frozenset(rule.get("apiGroups", ())),
            frozenset(rule.get("resources", ())),
            frozenset(rule.get("resourceNames", ())),
            tuple(rule.get("nonResourceURLs", ())),
        )
        for rule in held
    ]
    left = MOST_COMPARISONS
    for part in parts_of(wanted):
        left -= 1 + len(owned)
        if left < 0:
            raise TooManyRules("The rules are too many to be compared.")
        if not any(one.covers(part) for one in owned):
            return part
    return None


# --- one request that rules allow, and that only reads

_READ_VERBS = ("list", "get")
_PODS = ("", "pods")


class ReadRequest(NamedTuple):
    """A request that only reads: as an authorizer sees it, and the path by which it is made."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str = ""

    @property
    def path(self) -> str:
        """The path. Whether the version is one that is served does not matter: authorization comes before."""
        root = f"/apis/{self.group}/v1" if self.group else "/api/v1"
        if self.resource == "namespaces":
            return f"{root}/namespaces/{self.name}"
        within = f"/namespaces/{self.namespace}" if self.namespace else ""
        return f"{root}{within}/{self.resource}" + (f"/{self.name}" if self.name else "?limit=1")


_READS_KUBE_SYSTEM: Rule = {
    "verbs": ("get",),
    "apiGroups": ("",),
    "resources": ("namespaces",),
    "resourceNames": ("kube-system",),
}


def find_read_request(rules: Sequence[Rule], namespace: str) -> ReadRequest | None:
    """A request that these rules, bound in this namespace ("": in the whole cluster), allow, and that only reads.

    In the whole cluster that for the namespace kube-system where they allow it: it tells nobody anything.
    """
    if not namespace and find_uncovered(rules, (_READS_KUBE_SYSTEM,)) is None:
        return ReadRequest("get", "", "namespaces", "", "kube-system")
    requests = [
        request
        for rule in rules
        for group in rule.get("apiGroups", ())
        for resource in rule.get("resources", ())
        if (
            request := _read_request(
                {*rule.get("verbs", ())}, group, resource, rule.get("resourceNames", ()), namespace
            )
        )
    ]
    return min(requests, key=lambda request: (request.group, request.resource) != _PODS, default=None)


def _read_request(
    verbs: set[str], group: str, resource: str, names: Sequence[str], namespace: str
) -> ReadRequest | None:
    if "/" in resource:
        return None
    group, resource = _PODS if _ALL in (group, resource) and group in (_ALL, "") else (group, resource)
    if _ALL in (group, resource) or (resource == "namespaces" and not group):
        return None
    for verb in _READ_VERBS:
        if verbs & {verb, _ALL} and (verb == "list") is not bool(names):
            return ReadRequest(verb, group, resource, namespace, names[0] if names else "")
    if verbs & {"get", _ALL}:  # of a name that need not be there
        return ReadRequest("get", group, resource, namespace, names[0] if names else "kubecustody")
    return None


# --- what somebody may still do

# What Kubernetes' own roles let everybody do who is authenticated: to ask who they are and what the API has.
_ASKING_ABOUT_ONESELF = frozenset(
    {"selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews"},
)
_PUBLIC_PATHS = ("/api", "/apis", "/healthz", "/livez", "/readyz", "/version", "/openapi", "/.well-known")


def parts_beyond_defaults(rules: Iterable[Rule]) -> list[Part]:
    """What rules allow beyond what Kubernetes lets everybody do who is authenticated."""
    return [part for part in parts_of(rules) if not _is_default(part)]


def _is_default(part: Part) -> bool:
    if part.path:
        return part.verb == "get" and part.path.startswith(_PUBLIC_PATHS)
    return part.verb == "create" and part.resource in _ASKING_ABOUT_ONESELF
