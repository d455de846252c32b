"""The explorer's page as a person uses it."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page, expect

OpenPage = Callable[..., Page]
LIST = "ListUserKubeConfigStates"
expect.set_options(timeout=20_000)  # a machine may be busy


class Explorer:
    """One tab with the explorer in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.sent: list[str] = []  # method and address of every call of the API
        page.on("request", lambda one: "x-acs-action" in one.headers and self.sent.append(f"{one.method} {one.url}"))
        expect(page.locator("html[data-ready]")).to_have_count(1)

    @property
    def answer(self) -> Locator:
        return self.page.locator("#answer")

    @property
    def error(self) -> Locator:
        return self.answer.locator(".error")

    @property
    def dialog(self) -> Locator:
        return self.page.get_by_role("dialog")

    def sign_in(self, key: dict[str, Any]) -> None:
        self.page.fill("#key-id", key["access_key_id"])
        self.page.fill("#key-secret", key["access_key_secret"])

    def fill(self, **values: str) -> None:
        for name, value in values.items():
            self.page.locator(f'[name="{name}"]').fill(value)

    def choose(self, operation: str) -> None:
        self.page.fill("#operation", operation)
        self.page.keyboard.press("Enter")
        expect(self.page.locator("#about code").first).to_be_visible()
        assert self.page.input_value("#operation") == operation

    def call(self) -> Locator:
        """Call, and wait for the answer. Returns its status."""
        self.page.click("#run")
        return self.status()

    def status(self) -> Locator:
        status = self.answer.locator(".status .mark")
        expect(status).to_be_visible()
        return status


def explore(open_page: OpenPage, link: str = "", **more: Any) -> Explorer:
    return Explorer(open_page(f"/explorer{link}", **more))
