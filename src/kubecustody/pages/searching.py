"""The search over the pages, for who has no scripts as well: the words of a query, and where all of them stand."""

import html
import json
import re
from pathlib import Path
from urllib.parse import parse_qs, quote

LONGEST_WORDS = 200
_MOST_RESULTS = 40
_SNIPPET = 160
_REQUEST_ID = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")


def read_words(query_string: bytes) -> tuple[str, bool]:
    """What is searched for, and whether among the error codes alone. What is no UTF-8 is shown as such."""
    fields = parse_qs(query_string.decode("latin-1"), encoding="utf-8", errors="replace")
    words = fields.get("q", [""])[0][:LONGEST_WORDS]
    return " ".join("".join(letter if letter.isprintable() else " " for letter in words).split()), fields.get("in") == [
        "errors"
    ]


def render_results(index: Path, words: str, prefix: str, *, errors_only: bool) -> str:
    """The results as HTML. Of the request nothing but its words is in it, escaped."""
    if not words:
        return "<p>Type what you are looking for: an operation, an error code, a setting, a word.</p>"
    if _REQUEST_ID.fullmatch(words.upper()):
        return _about_request(words.upper(), prefix)
    wanted = words.lower().split()
    found = [
        (not all(word in title.lower() for word in wanted), name, title, text)
        for name, title, text in json.loads(index.read_bytes())
        if (not errors_only or name.startswith("docs/errors#"))
        and all(word in title.lower() or word in text.lower() for word in wanted)
    ]
    if not found:
        return f"<p>Nothing here has <q>{html.escape(words)}</q>. Try fewer or other words.</p>"
    found.sort(key=lambda one: one[0])
    items = "".join(
        f'<li><a href="{prefix}/{name}">{html.escape(title)}</a><br><span class="soft">'
        f"{html.escape(_snippet(text, wanted[0]))}</span></li>"
        for _, name, title, text in found[:_MOST_RESULTS]
    )
    more = f" The first {_MOST_RESULTS} are shown." if len(found) > _MOST_RESULTS else ""
    return f'<p role="status">{len(found)} found.{more}</p><ol class="results">{items}</ol>'


def _about_request(request_id: str, prefix: str) -> str:
    link = f"{prefix}/explorer#operation=DescribeRequestError&amp;RequestId={quote(request_id)}"
    return (
        "<p>That is a request ID. What went wrong in a request of the last hour tells the operation "
        f'<code>DescribeRequestError</code>, to who sent it: <a href="{link}">ask it in the API explorer</a>, or</p>'
        f'<pre tabindex="0"><code>kubecustody call DescribeRequestError RequestId={request_id}</code></pre>'
    )


def _snippet(text: str, word: str) -> str:
    at = max(0, text.lower().find(word) - _SNIPPET // 3)
    cut = text[at : at + _SNIPPET]
    return ("... " if at else "") + cut + (" ..." if at + _SNIPPET < len(text) else "")
