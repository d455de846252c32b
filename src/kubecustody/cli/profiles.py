"""The file in which the provider's SDKs look for access keys by the name of a profile: INI, a section each.

help.aliyun.com, "Manage access credentials" of the Python SDK (~/.alibabacloud/credentials.ini, type access_key), and
alibabacloud_credentials/provider/profile.py, both read 2026-11-24.
"""

import configparser
import os
from datetime import UTC, datetime
from pathlib import Path

from kubecustody.core.errors import OperatorError
from kubecustody.kubeconfig.merging import read_existing, write_private

PROFILE_VARIABLE = "ALIBABA_CLOUD_PROFILE"


class ProfileFile:
    """A file of profiles as it was when it was opened. Raises OperatorError where it cannot be read or written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._text = read_existing(path) if os.path.lexists(path) else ""
        self._profiles = _parse(self._text, path)
        folder = next(above for above in path.absolute().parents if above.exists())
        if not os.access(folder, os.W_OK):
            raise OperatorError(f"{path} cannot be written: {folder} cannot be written to. Name another file.")

    def check_new(self, name: str) -> None:
        """Raise OperatorError where the file has a profile of this name: it is never replaced."""
        if name in self._profiles or name == configparser.DEFAULTSECT:
            raise OperatorError(
                f"{self.path} has a profile {name} already, which is left as it is. Name another file, or move that "
                "profile away first."
            )

    def add(self, name: str, access_key_id: str, secret: str, endpoint: str) -> None:
        """Write the profile behind those that are there; the file has mode 0600 then. Raises OperatorError."""
        before = self._text if not self._text or self._text.endswith("\n") else self._text + "\n"
        section = (
            f"[{name}]\ntype = access_key\naccess_key_id = {access_key_id}\naccess_key_secret = {secret}\n"
            f"endpoint = {endpoint}\n"
        )
        text = before + ("\n" if before else "") + section
        write_private(self.path, text, backup=False, now=datetime.now(UTC), expected=self._text)


def read_profile(text: str, path: Path, name: str | None) -> dict[str, str]:
    """The members of a profile: of that name, else `default`, else the only one. Raises OperatorError."""
    profiles = _parse(text, path)
    names = profiles.sections()
    chosen = name or (names[0] if len(names) == 1 else "default")
    if chosen not in profiles:
        raise OperatorError(
            f"{path} has no profile {chosen}; it has {', '.join(names) or 'none'}. Set {PROFILE_VARIABLE}."
        )
    return dict(profiles[chosen])


def _parse(text: str, path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text, str(path))
    except configparser.Error:  # its text would show a line, and with it perhaps a secret
        raise OperatorError(
            f"{path} is no file of profiles: INI, [NAME] and lines NAME = VALUE below, each profile once."
        ) from None
    return parser
