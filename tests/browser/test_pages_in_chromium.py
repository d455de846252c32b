"""The pages in a real Chromium: nothing is inaccessible, too wide, or in need of a script."""

import re
from collections.abc import Callable

import pytest
from chromium import PHONE, WIDE, check_accessible, check_fits
from playwright.sync_api import Page, expect

from kubecustody.pages.serving import SITE

pytestmark = pytest.mark.browser

# Pages of operations are all of one template, so the longest and a short one stand for them.
PAGES = sorted(
    f"/{path.relative_to(SITE).as_posix().removesuffix('.html')}"
    for path in SITE.rglob("docs/**/*.html")
    if path.parent.name != "api" or path.stem in ("ListUserKubeConfigStates", "IssueCredential", "DescribeUserQuota")
)

OpenPage = Callable[..., Page]


@pytest.mark.parametrize(("size", "scheme"), [(WIDE, "light"), (PHONE, "dark")], ids=["wide", "phone"])
@pytest.mark.parametrize("path", ["/docs", *PAGES, "/docs/search?q=states", "/docs/nothing-here"])
def test_page_is_accessible_and_fits(open_page: OpenPage, path: str, size: dict[str, int], scheme: str) -> None:
    page = open_page(path, size, color_scheme=scheme)
    check_fits(page)
    check_accessible(page)


@pytest.mark.parametrize(("size", "scheme"), [(WIDE, "dark"), (PHONE, "light")], ids=["wide", "phone"])
@pytest.mark.parametrize("path", ["/docs/api/ListUserKubeConfigStates", "/docs/errors", "/docs/how-to/policies"])
def test_the_other_colours_can_be_read_as_well(
    open_page: OpenPage, path: str, size: dict[str, int], scheme: str
) -> None:
    check_accessible(open_page(path, size, color_scheme=scheme))


def test_error_centre_filters_as_one_types_and_by_anchor(open_page: OpenPage) -> None:
    page = open_page("/docs/errors")
    field = page.locator("#error-search input[type=search]")
    field.fill("nonce used")
    expect(page.locator(".error:visible")).to_have_count(1)
    expect(page.locator("#SignatureNonceUsed")).to_be_visible()
    field.fill("no such words at all")
    expect(page.locator(".error:visible")).to_have_count(0)
    expect(page.locator("#error-count")).to_contain_text("0 of")
    field.fill("e78a2e2d-6e2d-4f0e-9a63-94db1f8a5f11")
    target = "/explorer#operation=DescribeRequestError&RequestId=E78A2E2D-6E2D-4F0E-9A63-94DB1F8A5F11"
    expect(page.locator("#error-request a")).to_have_attribute("href", re.compile(re.escape(target) + "$"))


def test_recommended_page_shows_the_code(open_page: OpenPage) -> None:
    page = open_page("/docs/errors#SignatureDoesNotMatch")
    expect(page.locator("#SignatureDoesNotMatch h2")).to_be_in_viewport()


def test_without_scripts_the_search_of_the_error_centre_works(open_page: OpenPage) -> None:
    page = open_page("/docs/errors", java_script_enabled=False)
    page.locator("#error-search input[type=search]").fill("nonce")
    page.locator("#error-search button").click()
    page.locator(".results a", has_text="SignatureNonceUsed").click()
    assert page.url.endswith("/docs/errors#SignatureNonceUsed")


def test_first_tab_leads_to_the_text(open_page: OpenPage) -> None:
    page = open_page("/docs/api/ListUserKubeConfigStates")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_code_is_copied_by_its_button(open_page: OpenPage) -> None:
    page = open_page("/docs/api/ListUserKubeConfigStates", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").first.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert '"Action": "cs:ListUserKubeConfigStates"' in page.evaluate("navigator.clipboard.readText()")


def test_of_a_console_block_the_commands_alone_are_copied(open_page: OpenPage) -> None:
    page = open_page("/docs/tutorial/first-answer", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").first.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").splitlines() == [
        "export KUBECUSTODY_DATA_DIR=$PWD/custody",
        "kubecustody init --out account.key",
        "kubecustody serve > server.log 2>&1 &",
    ]


def test_on_paper_there_is_no_navigation(open_page: OpenPage) -> None:
    page = open_page("/docs/api/ListUserKubeConfigStates")
    page.emulate_media(media="print")
    expect(page.locator(".side")).to_be_hidden()
    expect(page.locator("main h1")).to_be_visible()
