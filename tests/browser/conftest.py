"""The browser, and the demo that it looks at."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chromium import WIDE, chromium
from playwright.sync_api import Browser, ConsoleMessage, Page

from installations import running_demo


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def demo() -> Iterator[dict[str, Any]]:
    """What `kubecustody demo --json` prints."""
    with running_demo() as told:
        yield told


@pytest.fixture
def open_page(browser: Browser, demo: dict[str, Any]) -> Iterator[Callable[..., Page]]:
    """Opens a page of the demo in a context of its own. Nothing may be wrong in its console when the test ends: a
    script that fails or something that the policy forbids.
    """
    contexts, faults = [], list[str]()

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            faults.append(message.text)

    def open_(path: str, size: dict[str, int] = WIDE, **more: Any) -> Page:
        context = browser.new_context(viewport=size, **more)
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(demo["endpoint"] + path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not faults
