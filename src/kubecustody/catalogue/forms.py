"""What a text that is given must look like: once, for the server's check, OpenAPI, the pages and the explorer's form.

Patterns are in the words that Python and ECMAScript read alike (ECMAScript is what JSON Schema and browsers have): none
has digits or words by their escapes, and white space only beside what either language alone calls white space.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from kubecustody.core.names import CLUSTER_ID_PATTERN, UID_PATTERN, is_cluster_name
from kubecustody.core.times import TIME_PATTERN, is_time


@dataclass(frozen=True, slots=True)
class Form:
    """One form of text.

    must: ends the sentence "it must be"; pattern: of the whole text; more: what must be true beyond the pattern;
    format: the name of that in JSON Schema, where it has one; repeated: whether a message repeats what is wrong, which
    may be a secret in the wrong place.
    """

    must: str
    pattern: str
    more: Callable[[str], bool] | None = None
    format: str = ""
    repeated: bool = True

    @property
    def anchored(self) -> str:
        """The pattern as JSON Schema and browsers want it: they look for it anywhere in a text."""
        return f"^(?:{self.pattern})$"


@cache
def checker_of(form: Form) -> Callable[[str], bool]:
    """Whether a text has the form."""
    matches, more = re.compile(form.pattern).fullmatch, form.more
    if more is None:
        return lambda text: matches(text) is not None
    return lambda text: matches(text) is not None and more(text)


def one_of(values: Iterable[str]) -> str:
    """The values as the end of a sentence: clean or leave."""
    *others, last = values
    return f"{', '.join(others)} or {last}" if others else last


UID = Form("a Uid: 1 to 32 digits", UID_PATTERN)
TIME = Form("a time of RFC 3339 with a zone, such as 2026-11-30T07:41:50Z", TIME_PATTERN, is_time, "date-time")
FINGERPRINT = Form(
    "64 hex digits, with or without colons: the SHA-256 of the DER certificate", r"(?:[0-9A-Fa-f]:?){63}[0-9A-Fa-f]"
)
SERIAL = Form("1 to 64 hex digits, with or without colons", r"(?:[0-9A-Fa-f]:?){0,63}[0-9A-Fa-f]")
CREDENTIAL = Form("64 hex digits (a fingerprint) or fewer (a serial number), with or without colons", SERIAL.pattern)
CLUSTER_NAME = Form(
    "1 to 63 letters, digits, '_' or '-', beginning with a letter or digit, and not like a cluster's ID",
    # Of what is not ASCII no pattern says in either language what is a letter.
    rf"(?!{CLUSTER_ID_PATTERN}$)[^\x00-/:-@\[-`{{-\x7f][^\x00-,./:-@\[-^`{{-\x7f]{{0,62}}",
    is_cluster_name,
)
# Blank is what either language calls white space.
NOT_BLANK = Form("a text that is not blank", r"[\s\S]*[^\s\x1c-\x1f\x85\ufeff][\s\S]*")
HTTPS_URL = Form("https://HOST[:PORT]", "https://[^?#@]+", repeated=False)  # it may have a password in it
SHA256_HEX = Form("64 hex digits", "[0-9a-f]{64}")
CERTIFICATE_REQUEST = Form(
    "one PEM block, from -----BEGIN CERTIFICATE REQUEST----- to -----END CERTIFICATE REQUEST-----",
    r"[ \t\r\n]*-----BEGIN CERTIFICATE REQUEST-----[A-Za-z0-9+/= \t\r\n]+-----END CERTIFICATE REQUEST-----[ \t\r\n]*",
    repeated=False,
)
