"""Of a kubeconfig only what one context needs, so that no other credential of the file goes where that is sent."""

import json

from kubecustody.kubeconfig.document import KubeconfigUnreadable, member_text, named_members, read_members


def cut_to_context(data: bytes, context: str = "") -> str:
    """A kubeconfig with this context of it alone, "" for its current one. Raises KubeconfigUnreadable."""
    top = read_members(data)
    name = context or member_text(top, "current-context", "current-context") or ""
    contexts = dict(named_members(top, "contexts", "context"))
    if name not in contexts:
        known = ", ".join(contexts) or "none"
        asked = f"has no context {name!r}" if name else "has no current context; say which is meant"
        raise KubeconfigUnreadable(f"The kubeconfig {asked}; it has {known}.")
    chosen = contexts[name]
    document: dict[str, object] = {"apiVersion": "v1", "kind": "Config", "current-context": name}
    document["contexts"] = [{"name": name, "context": chosen}]
    for plural, singular in (("clusters", "cluster"), ("users", "user")):
        wanted = member_text(chosen, singular, f"contexts.{singular}")
        found = named_members(top, plural, singular)
        document[plural] = [{"name": each, singular: members} for each, members in found if each == wanted]
    return json.dumps(document)
