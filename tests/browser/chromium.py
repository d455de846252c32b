"""A real Chromium, and axe-core in it: Debian's browser, driven by Playwright; axe from npm, by lock.

npm's package is installed outside the repository, in a folder of the user's cache named after the lock's hash.
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).parent
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def missing(text: str) -> NoReturn:
    """A tool is absent: the test cannot be run, which with CI=true is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(text)
    pytest.skip(text)


def find_chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    return missing("tier browser: there is no Chromium; install Debian's chromium")


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # As root, which CI often is, Chromium has no sandbox.
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=flags)
        try:
            yield browser
        finally:
            browser.close()


def axe_source() -> str:
    """The text of axe-core."""
    files = [HERE / "axe" / name for name in ("package.json", "package-lock.json", ".npmrc")]
    digest = sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubecustody" / "axe"
    ready = cache / digest
    if not ready.exists():
        if shutil.which("npm") is None:
            missing("tier browser: npm is absent, so axe-core cannot be had; install Debian's npm")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="new-", ignore_cleanup_errors=True) as name:
            for path in files:
                shutil.copy(path, name)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            subprocess.run(command, cwd=name, check=True, capture_output=True, timeout=300)
            # Another run may have been quicker.
            with contextlib.suppress(OSError):
                Path(name).rename(ready)
    return (ready / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


def check_accessible(page: Page) -> None:
    """Fail with what axe finds against WCAG 2.2 A and AA. The page's own policy forbids scripts of others, so axe is
    evaluated in the page by the debugger rather than added to it.
    """
    page.evaluate(axe_source() + "\n;undefined")
    # What sticks covers now this control and now that one; the rules are about the controls.
    page.evaluate(
        "[...document.querySelectorAll('*')].filter((one) => getComputedStyle(one).position === 'sticky')"
        ".forEach((one) => { one.style.position = 'static'; })"
    )
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    found: dict[str, Any] = page.evaluate("(tags) => axe.run({runOnly: tags})", tags)
    assert found["passes"], "axe looked at nothing"
    told = [
        {"rule": one["id"], "help": one["help"], "at": [node["target"] for node in one["nodes"]][:5]}
        for one in found["violations"]
    ]
    assert not told, json.dumps(told, indent=1)


def check_fits(page: Page) -> None:
    """Fail where the page is wider than its window."""
    width, window = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert width <= window, f"{page.url} is {width} wide in a window of {window}"
