"""Patterns with `*` and `?`, as policies write them."""


def has_wildcard(pattern: str) -> bool:
    """Whether the pattern fits more than the text that it is."""
    return "*" in pattern or "?" in pattern


def matches(pattern: str, text: str) -> bool:
    """Whether `pattern` fits all of `text`: `*` any run of characters, also none, and `?` one character.

    Each piece between two stars is looked for once, from left to right, and is never tried again further
    right: at most len(pattern) * len(text) steps, however many stars there are.
    """
    if "*" not in pattern:
        return _fits(pattern, text)
    head, *rest = pattern.split("*")
    start = len(head)
    if not _fits(head, text[:start]):
        return False
    tail = rest.pop()
    end = len(text) - len(tail)
    if start > end or not _fits(tail, text[end:]):
        return False
    for piece in rest:
        found = _find(piece, text, start, end)
        if found < 0:
            return False
        start = found + len(piece)
    return True


def _fits(piece: str, text: str) -> bool:
    if "?" not in piece:
        return piece == text
    return len(piece) == len(text) and all(p in ("?", t) for p, t in zip(piece, text, strict=True))


def _find(piece: str, text: str, start: int, end: int) -> int:
    """Where `piece` first fits in text[start:end], or -1."""
    if "?" not in piece:
        return text.find(piece, start, end)
    places = range(start, end - len(piece) + 1)
    return next((at for at in places if _fits(piece, text[at : at + len(piece)])), -1)
