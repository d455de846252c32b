"""How deep JSON nests, told before it is read: json.loads recurses, from Python 3.12 on tens of thousands deep."""

import re

_TOKEN = re.compile(r'[\[\]{}]|"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)


def json_depth(text: str) -> int:
    """How deep brackets nest outside strings."""
    depth = deepest = 0
    for token in _TOKEN.findall(text):
        if token in ("[", "{"):
            depth += 1
            deepest = max(deepest, depth)
        elif token in ("]", "}"):
            depth -= 1
    return deepest
