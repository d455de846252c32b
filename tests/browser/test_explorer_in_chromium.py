"""The API explorer in a real Chromium, on the demo fleet: what it shows, what it asks, and what it never does."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from chromium import PHONE, WIDE, check_accessible, check_fits, find_chromium
from explorer_page import LIST, Explorer, OpenPage, explore
from playwright.sync_api import Browser, Page, Request, Route, expect

pytestmark = pytest.mark.browser

STATES = {"Unissued", "Unexpired", "Expired", "Removed", "Unknown"}
LANGUAGES = ("Python", "Python, asynchronous", "TypeScript", "Go", "Java", "curl", "aliyun", "kubecustody")


def person_with_every_state(demo: dict[str, Any]) -> str:
    uids = demo["uids"]
    return str(next(uid for uid in uids["Unknown"] if all(uid in uids[state] for state in STATES - {"Unissued"})))


# --- by keyboard


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the element has the focus."""
    for _ in range(40):
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not lead to {selector}")


def test_five_states_are_found_and_read_by_keyboard_alone(open_page: OpenPage, demo: dict[str, Any]) -> None:
    page = explore(open_page, "#operation=DescribeRegions").page
    tab_to(page, "#operation")
    page.keyboard.type("user kubeconfig states")
    combobox = page.get_by_role("combobox", name="Operation")
    expect(combobox).to_have_attribute("aria-expanded", "true")
    active = combobox.get_attribute("aria-activedescendant")
    assert LIST in page.locator(f"#{active}").inner_text()
    page.keyboard.press("Enter")
    expect(page.locator("#about")).to_contain_text("/users/{Uid}/kubeconfig/states")
    for selector, text in (
        ("#key-id", demo["keys"]["reader"]["access_key_id"]),
        ("#key-secret", demo["keys"]["reader"]["access_key_secret"]),
        ("[name=Uid]", person_with_every_state(demo)),
    ):
        tab_to(page, selector)
        page.keyboard.type(text)
    page.keyboard.press("Enter")
    rows = page.locator("#answer .cards tbody tr")
    expect(rows).to_have_count(len(demo["clusters"]))
    assert {row.locator("td").nth(1).inner_text().split()[0] for row in rows.all()} == STATES
    tab_to(page, "#answer button")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("can_get_in")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.evaluate("document.activeElement.textContent") == "why?"


def test_list_of_operations_follows_the_pattern_of_a_combobox(open_page: OpenPage) -> None:
    page = explore(open_page).page
    page.focus("#operation")
    page.keyboard.press("ArrowDown")
    options = page.get_by_role("option")
    assert options.count() > 20
    selected = page.locator("[role=option][aria-selected=true]")
    assert LIST in selected.inner_text()
    page.keyboard.press("ArrowUp")
    assert LIST not in selected.inner_text()  # around the end
    page.keyboard.type("no such operation")
    expect(page.locator("#operations")).to_contain_text("No operation has these words.")
    page.keyboard.press("Escape")
    expect(page.locator("#operations")).to_be_hidden()
    assert page.input_value("#operation") == LIST


def test_arrows_move_between_the_tabs(open_page: OpenPage) -> None:
    page = explore(open_page).page
    page.focus("#tab-answer")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", selected=True)).to_have_text("Request and signature")
    page.keyboard.press("End")
    expect(page.locator("#samples")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#answer")).to_be_visible()


# --- what is shown


@pytest.fixture
def states(open_page: OpenPage, demo: dict[str, Any]) -> Explorer:
    """The explorer after it listed the states of somebody who has all five."""
    explorer = explore(open_page)
    explorer.sign_in(demo["keys"]["account"])
    explorer.fill(Uid=person_with_every_state(demo))
    expect(explorer.call()).to_have_text("200")
    return explorer


def test_every_state_says_why(states: Explorer) -> None:
    for button in states.answer.get_by_role("button", name="why?").all():
        button.click()
        reason = states.dialog.locator(".lead")
        expect(reason).to_have_text(re.compile(r"\w+ \w+ .+"))
        state = re.search(r" (\w+)\?$", states.dialog.locator("h2").inner_text())
        assert state and state[1] in STATES
        expect(states.dialog.locator("dd strong").first).to_have_text(state[1])
        states.dialog.get_by_role("button", name="Close").click()


def test_why_shows_the_evidence_of_what_lives(states: Explorer) -> None:
    states.answer.get_by_role("button", name="why? edge is Unknown").click()
    states.dialog.get_by_text("Evidence for").first.click()
    expect(states.dialog).to_contain_text("key_disclosures")


def test_state_of_a_credential_says_why_too(states: Explorer, demo: dict[str, Any]) -> None:
    states.choose("ListCredentials")
    states.fill(Uid=person_with_every_state(demo))
    expect(states.call()).to_have_text("200")
    states.answer.get_by_role("button", name="why?").first.click()
    expect(states.dialog.locator(".lead")).to_have_text(re.compile(r"\w+ \w+ .+"))
    expect(states.dialog).to_contain_text("private_key")


def test_request_is_shown_as_it_was_signed(states: Explorer) -> None:
    page = states.page
    page.click("#tab-request")
    sent, canonical, to_sign, signature = page.locator("#request-sent pre").all_inner_texts()
    assert canonical.startswith(f"GET\n/users/{states.sent[0].split('/')[4]}/kubeconfig/states\n")
    assert to_sign.startswith("ACS3-HMAC-SHA256\n") and f"Signature={signature}" in sent


def test_answer_is_a_table_and_json_that_folds(states: Explorer) -> None:
    states.page.get_by_label("JSON").check()
    tree = states.answer.locator(".json")
    expect(tree).to_contain_text("cert_expire_time")
    tree.locator("summary").first.click()
    expect(tree.get_by_text("cert_state").first).to_be_hidden()
    states.page.get_by_text("Headers of the answer").click()
    expect(states.answer).to_contain_text("x-acs-request-id")


def test_each_sample_is_of_these_values_and_holds_no_secret(states: Explorer, demo: dict[str, Any]) -> None:
    page, key = states.page, demo["keys"]["account"]
    page.click("#tab-samples")
    for language in LANGUAGES:
        page.get_by_label(language, exact=True).check()
        install, code = page.locator("#sample pre").all_inner_texts()
        assert install.strip()
        assert person_with_every_state(demo) in code, language
        assert key["access_key_secret"] not in page.content()
        expect(page.locator("#sample")).to_contain_text(re.compile("Tested with|has not been run"))


# --- what goes wrong


def test_wrong_secret_is_told_from_a_changed_request(states: Explorer) -> None:
    states.page.fill("#key-secret", "not-the-secret")
    expect(states.call()).to_have_text("400")
    expect(states.error.locator("h3")).to_have_text("SignatureDoesNotMatch")
    expect(states.error).to_contain_text("the secret is not that of this access key. Give the secret again")


def test_changed_request_is_shown_where_it_parts(states: Explorer) -> None:
    """Something between the browser and the server rewrites the query."""

    def change(route: Route) -> None:
        route.continue_(url=f"{route.request.url}?page_number=2")

    states.page.route("**/kubeconfig/states", change)
    states.call()
    expect(states.error.locator("h3")).to_have_text("SignatureDoesNotMatch")
    expect(states.error).to_contain_text("from line 3 of the canonical request on")
    expect(states.error).to_contain_text("It had: page_number=2")


def test_unknown_key_says_what_to_do(states: Explorer) -> None:
    states.page.fill("#key-id", "KCnobodys")
    states.call()
    expect(states.error.locator("h3")).to_have_text("InvalidAccessKeyId.NotFound")
    expect(states.error.get_by_role("link")).to_have_attribute("href", "/docs/errors#InvalidAccessKeyId.NotFound")


@pytest.mark.parametrize(("hours", "told"), [(-2, "120 minutes behind"), (3, "180 minutes ahead of")])
def test_skewed_clock_is_named_with_its_minutes(
    open_page: OpenPage, demo: dict[str, Any], hours: int, told: str
) -> None:
    explorer = explore(open_page)
    explorer.page.evaluate("(ms) => { const now = Date.now; Date.now = () => now() + ms; }", hours * 3_600_000)
    explorer.sign_in(demo["keys"]["account"])
    expect(explorer.call()).to_have_text("400")
    expect(explorer.error.locator("h3")).to_have_text("InvalidTimeStamp.Expired")
    expect(explorer.error).to_contain_text(f"The clock of this machine is {told} the server's. Set it")


def test_denied_user_sees_which_action_no_policy_allows(open_page: OpenPage, demo: dict[str, Any]) -> None:
    explorer = explore(open_page)
    explorer.sign_in(demo["keys"]["nobody"])
    explorer.fill(Uid=person_with_every_state(demo))
    expect(explorer.call()).to_have_text("403")
    expect(explorer.error).to_contain_text(f"No policy of the caller allows cs:{LIST}")
    expect(explorer.error).to_contain_text("ImplicitDeny")
    expect(explorer.error).to_contain_text("What to do:")


def test_bad_page_size_is_told_at_its_field(open_page: OpenPage, demo: dict[str, Any]) -> None:
    explorer = explore(open_page)
    explorer.sign_in(demo["keys"]["account"])
    explorer.fill(page_size="1000")
    expect(explorer.call()).to_have_text("400")
    expect(explorer.error).to_contain_text("page_size: is 1000; it must be an integer from 1 to 100.")
    field = explorer.page.locator("[name=page_size]")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(re.compile("it must be an integer from 1 to 100"))


def test_without_a_key_nothing_is_called(open_page: OpenPage) -> None:
    explorer = explore(open_page)
    explorer.page.click("#run")
    expect(explorer.page.locator("#notice")).to_have_text("Give an access key id and its secret.")
    expect(explorer.page.locator("#key-id")).to_be_focused()
    assert explorer.sent == []


def test_answer_that_is_not_json_is_shown_as_it_came(states: Explorer) -> None:
    """A proxy's page in place of the answer."""
    page_of_a_proxy = "<html><script>window.ran = 1</script><h1>502 Bad Gateway</h1>"
    states.page.route(
        "**/kubeconfig/states", lambda route: route.fulfill(status=502, body=page_of_a_proxy, content_type="text/html")
    )
    expect(states.call()).to_have_text("502")
    expect(states.answer).to_contain_text("The answer is not JSON, so it is not this API's.")
    expect(states.answer.locator("pre")).to_have_text(page_of_a_proxy)
    assert states.page.evaluate("window.ran") is None


def test_no_answer_is_told(states: Explorer) -> None:
    states.page.route("**/kubeconfig/states", lambda route: route.abort())
    states.page.click("#run")
    expect(states.answer).to_contain_text("No answer came")
    expect(states.page.locator("#run")).to_be_enabled()


def test_plain_http_from_another_host_says_why_nothing_can_be_signed(browser: Browser, demo: dict[str, Any]) -> None:
    """The browser takes custody.example for this machine, and has no WebCrypto there."""
    flags = ["--host-resolver-rules=MAP custody.example 127.0.0.1", "--no-sandbox"]
    other = browser.browser_type.launch(executable_path=find_chromium(), args=flags)
    try:
        page = other.new_page()
        for path in ("/explorer", "/explorer/signature"):
            page.goto(demo["endpoint"].replace("127.0.0.1", "custody.example") + path)
            unable = page.get_by_role("alert")
            expect(unable).to_contain_text("This page came over plain HTTP from custody.example")
            expect(unable).to_contain_text("Open it by https://")
            expect(page.locator("#explorer")).to_be_hidden()
    finally:
        other.close()


# --- what it asks first, and what it never does


def test_asks_before_it_acts_and_says_to_whom(states: Explorer, demo: dict[str, Any]) -> None:
    uid, cluster = person_with_every_state(demo), demo["clusters"][0]
    states.page.click("#look-up")
    expect(states.page.locator("#notice")).to_contain_text("Found 6 clusters")
    states.choose("CleanClusterUserPermissions")
    states.fill(ClusterId=cluster, Uid=uid)
    states.sent.clear()
    for refuse in (lambda: states.page.keyboard.press("Escape"), lambda: states.page.keyboard.press("Enter")):
        states.page.click("#run")
        expect(states.dialog).to_contain_text("Call CleanClusterUserPermissions?")
        expect(states.dialog).to_contain_text(
            re.compile(rf"held by \S+ \({uid}\) in the cluster prod-eu \({cluster}\)")
        )
        expect(states.dialog.get_by_role("button", name="Do not call")).to_be_focused()
        refuse()
        expect(states.page.locator("#notice")).to_have_text("Nothing was called.")
    assert states.sent == []


def test_a_call_that_was_agreed_to_is_made_once(open_page: OpenPage, demo: dict[str, Any]) -> None:
    explorer = explore(open_page, "#operation=UpdateK8sClusterUserConfigExpire&expire_hour=99999999")
    explorer.sign_in(demo["keys"]["account"])
    explorer.fill(ClusterId=demo["clusters"][0], user=person_with_every_state(demo))
    explorer.page.click("#run")
    explorer.dialog.get_by_role("button", name="Call it").click()
    expect(explorer.status()).to_have_text("400")
    assert len(explorer.sent) == 1


def test_key_is_masked_until_it_is_revealed(open_page: OpenPage, demo: dict[str, Any]) -> None:
    explorer = explore(
        open_page, "#operation=DescribeClusterUserKubeconfig", permissions=["clipboard-read", "clipboard-write"]
    )
    page = explorer.page
    explorer.sign_in(demo["keys"]["account"])
    explorer.fill(ClusterId=demo["clusters"][0])
    page.click("#run")
    expect(explorer.dialog).to_contain_text("holds the private key of you (the caller)")
    explorer.dialog.get_by_role("button", name="Call it").click()
    expect(explorer.status()).to_have_text("200")
    assert "client-key-data" not in page.content() + page.url
    page.click("#tab-samples")
    for language in LANGUAGES:
        page.get_by_label(language, exact=True).check()
        assert "client-key-data" not in page.content()
    page.click("#tab-answer")
    page.get_by_role("button", name="Copy the JSON").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert '"config": "***"' in copied and "client-key-data" not in copied
    page.get_by_role("button", name="Reveal").click()
    assert "client-key-data" in explorer.answer.inner_text()
    page.get_by_role("button", name="Mask again").click()
    assert "client-key-data" not in page.content()


def test_secret_stays_in_the_memory_of_the_tab(states: Explorer, demo: dict[str, Any]) -> None:
    page, secret = states.page, demo["keys"]["account"]["access_key_secret"]
    sent: list[str] = []

    def note(request: Request) -> None:
        sent.append(f"{request.url} {request.all_headers()} {request.post_data}")

    page.on("request", note)
    states.call()
    stored = page.evaluate(
        "async () => JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href,"
        " history.state, await indexedDB.databases(), await caches.keys()])"
    )
    assert sent and secret not in "".join(sent) + stored
    page.reload()
    expect(page.locator("html[data-ready]")).to_have_count(1)
    assert page.input_value("#key-secret") == page.input_value("#key-id") == ""
    assert page.input_value("[name=Uid]") == person_with_every_state(demo)  # which the link has


def test_a_link_fills_the_form_and_calls_nothing(open_page: OpenPage, demo: dict[str, Any]) -> None:
    first = explore(open_page)
    first.choose("CleanUserPermissions")
    first.fill(Uid="200000000000000001", ClusterIds="c1, c2")
    first.page.locator('[name="Force"]').select_option("true")
    link = first.page.evaluate("location.hash")
    second = explore(open_page, link)
    assert second.page.input_value("#operation") == "CleanUserPermissions"
    assert second.page.input_value('[name="ClusterIds"]') == "c1,c2"
    assert second.page.input_value('[name="Force"]') == "true"
    second.page.wait_for_timeout(300)
    assert second.sent == []


HOSTILE = "\"'`<img src=x onerror=window.ran=1>&amp;</textarea><script>window.ran=1</script>{{7*7}}${1}\u202e日本\u2028"


@pytest.mark.parametrize(
    "link",
    [
        f"#operation={quote(HOSTILE)}&page_size={quote(HOSTILE)}&{quote(HOSTILE)}={quote(HOSTILE)}",
        "#operation=__proto__&constructor=1&__proto__=2&toString=3",
        "#operation=GrantPermissions&uid=1&body="
        + quote('[{"cluster": {"__proto__": []}, "role_name": 7}, null, [1]]'),
        "#operation=GrantPermissions&body=" + quote("[" * 5000),
        "#operation=ListUserKubeConfigStates&Uid=" + "%F0%9F%98%80" * 3000,
        "#operation=ListUserKubeConfigStates&Uid=%00%FF%ED%A0%80&page_size=1e9999",
        "?operation=ListUserKubeConfigStates&Uid=javascript:window.ran=1#",
        "#" + "&".join(f"p{number}=1" for number in range(2000)),
    ],
)
def test_hostile_link_runs_nothing_and_breaks_nothing(open_page: OpenPage, link: str) -> None:
    explorer = explore(open_page, link, size=PHONE)
    page = explorer.page
    for tab in ("#tab-samples", "#tab-request", "#tab-answer"):
        page.click(tab)
        check_fits(page)
    assert page.evaluate("[window.ran, ({}).operation, document.querySelectorAll('main script, main img').length]") == [
        None,
        None,
        0,
    ]
    assert explorer.sent == []


def test_secret_in_a_link_is_not_read(open_page: OpenPage) -> None:
    explorer = explore(open_page, "#operation=RegisterCluster&Name=prod&Kubeconfig=token-of-a-cluster")
    assert explorer.page.input_value('[name="Kubeconfig"]') == ""
    assert "token-of-a-cluster" not in explorer.page.url
    expect(explorer.page.locator("#notice")).to_contain_text("Kubeconfig, which is secret and belongs in no link")
    explorer.fill(Kubeconfig="token-of-a-cluster")
    explorer.page.click("#tab-samples")
    assert "token-of-a-cluster" not in explorer.page.url + explorer.page.locator("#sample").inner_text()


def test_hostile_values_in_every_field_of_every_operation(open_page: OpenPage, demo: dict[str, Any]) -> None:
    explorer = explore(open_page, size=PHONE)
    page = explorer.page
    explorer.sign_in(demo["keys"]["nobody"])
    operations = page.evaluate("fetch('/explorer/catalogue.json').then((one) => one.json())")["operations"]
    page.click("#tab-samples")
    for operation in operations:
        explorer.choose(operation["name"])
        for button in page.locator("#parameters").get_by_role("button", name="Add an entry").all():
            button.click()
        for field in page.locator("#parameters input, #parameters textarea").all():
            field.fill(HOSTILE * 3)
        for language in LANGUAGES:
            page.get_by_label(language, exact=True).check()
        check_fits(page)
        link = page.evaluate("location.hash")
        page.evaluate("location.hash = '#operation=DescribeRegions'")
        page.evaluate("(link) => { location.hash = link; }", link)
        secret = {one["wire"] for one in operation["input"] if one["secret"]}
        for field in page.locator("#parameters > .field > input, #parameters > .field > textarea").all():
            name = field.get_attribute("name")
            assert (field.input_value() == "") == (name in secret), (operation["name"], name)
        page.click("#run")
        if operation["effects"] != ["reads"]:
            check_fits(page)
            explorer.dialog.get_by_role("button", name="Call it").click()
        expect(explorer.status()).to_have_text(re.compile("4.."))
        check_fits(page)
        page.click("#tab-samples")
    assert page.evaluate("window.ran") is None
    assert len(explorer.sent) == len(operations)


# --- for everybody


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_every_view_is_accessible_and_fits(
    open_page: OpenPage, demo: dict[str, Any], size: dict[str, int], scheme: str
) -> None:
    explorer = explore(open_page, size=size, color_scheme=scheme)
    page = explorer.page

    def check() -> None:
        check_fits(page)
        check_accessible(page)

    check()
    explorer.sign_in(demo["keys"]["account"])
    explorer.fill(Uid=person_with_every_state(demo))
    explorer.call()
    check()
    page.get_by_label("JSON").check()
    check()
    page.get_by_label("Table").check()
    page.get_by_role("button", name="why?").nth(4).click()
    expect(explorer.dialog.locator(".facts")).to_be_visible()
    check()
    page.keyboard.press("Escape")
    for tab in ("#tab-request", "#tab-samples"):
        page.click(tab)
        check()
    page.fill("#operation", "permission")
    check()
    explorer.choose("GrantPermissions")
    page.get_by_role("button", name="Add an entry").click()
    explorer.fill(uid="1")
    page.click("#run")
    expect(explorer.dialog).to_be_visible()
    check()
    explorer.dialog.get_by_role("button", name="Call it").click()
    expect(explorer.error).to_be_visible()
    check()


# --- where signatures part


FAILING = """> GET /users//kubeconfig/states?page_size=10 HTTP/1.1
> host: custody.example:8443
> x-acs-action: ListUserKubeConfigStates
> x-acs-version: 2015-12-15
> x-acs-date: 2026-11-24T10:00:00Z
> x-acs-signature-nonce: 0123456789abcdef
> x-acs-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
> Authorization: ACS3-HMAC-SHA256 Credential=KC1,SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,Signature=SIGNATURE

"""  # noqa: E501


@pytest.fixture
def tool(open_page: OpenPage) -> Iterator[Page]:
    page = open_page("/explorer/signature")
    expect(page.locator("html[data-ready]")).to_have_count(1)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    yield page
    assert not sent, "something of the pasted request went out"


def test_pasted_request_is_told_where_the_signatures_part(tool: Page) -> None:
    tool.fill("#pasted", FAILING.replace("SIGNATURE", "0" * 64))
    tool.fill("#secret", "the-secret")
    tool.fill("#theirs", "GET\n/users/kubeconfig/states\npage_size=10\n")
    tool.get_by_role("button", name="Compare").click()
    finding = tool.locator("#finding")
    expect(finding).to_be_focused()
    expect(finding).to_contain_text("line 2, column 8")
    expect(finding.locator("mark").first).to_have_text("/kubeconfig/states")
    check_accessible(tool)
    assert "the-secret" not in finding.inner_text()


def test_pasted_request_that_is_none_says_how_it_looks(tool: Page) -> None:
    tool.fill("#pasted", HOSTILE)
    tool.get_by_role("button", name="Compare").click()
    expect(tool.locator("#finding")).to_contain_text("The first line must be a request's: METHOD /path?query HTTP/1.1")
    tool.fill("#pasted", FAILING.replace("page_size=10", "page_size=" + quote(HOSTILE)).replace("KC1", HOSTILE))
    tool.fill("#theirs", HOSTILE)
    tool.get_by_role("button", name="Compare").click()
    expect(tool.locator("#finding ol.checks li").first).to_be_visible()
    tool.set_viewport_size(PHONE)
    check_fits(tool)
    assert tool.evaluate("window.ran") is None
