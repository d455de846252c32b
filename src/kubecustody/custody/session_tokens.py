"""Tokens of sessions: all that is to be known of a temporary access key, sealed by the installation's master key.

Nothing is stored of a session but the event of its beginning. Its token can be neither read nor changed, and no other
server takes it.
"""

import base64
import binascii
import json
from collections.abc import Callable
from typing import NamedTuple

from kubecustody.core.errors import SecurityTokenMalformed
from kubecustody.pki.sealing import SealBroken, Sealer

KEY_PREFIX = "STS."
_LONGEST_TOKEN = 16_384


class Session(NamedTuple):
    """One session. policy: the document that narrows it, "" for none; times in unix seconds."""

    account_id: str
    uid: str
    name: str
    access_key_id: str
    secret: str
    begins_at: int
    ends_at: int
    policy: str

    def __repr__(self) -> str:
        return f"Session(access_key_id={self.access_key_id!r}, uid={self.uid!r}, name={self.name!r})"


def seal_token(sealer: Sealer, session: Session) -> str:
    """The token of a session."""
    plain = json.dumps(session, ensure_ascii=False).encode()  # escaped, a policy of few letters could be too long
    return _spell(sealer.seal(plain, table="sessions", column="token", account_id="", row_id=""))


def open_token(unseal: Callable[[bytes], bytes], token: str) -> Session:
    """The session of a token. Raises SecurityTokenMalformed for what this installation never sealed."""
    if len(token) > _LONGEST_TOKEN:
        raise SecurityTokenMalformed
    try:
        sealed = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
        if _spell(sealed) != token:  # base64 has several spellings of the same bytes
            raise SecurityTokenMalformed
        return Session._make(json.loads(unseal(sealed)))
    except (UnicodeEncodeError, binascii.Error, SealBroken):
        raise SecurityTokenMalformed from None


def _spell(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).decode("ascii").rstrip("=")
