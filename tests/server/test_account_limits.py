"""The limit of an account over all its keys, and that the ordinary limits are not felt in ordinary use."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from wire import add_user, call, check_error

from installations import AUTHOR, Installation, serving
from kubecustody.catalogue.policies import READ_ONLY_ACCESS
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.installation import Custody, add_account
from kubecustody.custody.policies import set_attachment
from kubecustody.custody.principals import NewAccessKey, add_access_key, add_principal
from kubecustody.custody.sessions import begin_session


def add_reader(installation: Installation, name: str) -> NewAccessKey:
    key = add_user(installation, name)
    installation.change(set_attachment, READ_ONLY_ACCESS, attached=True, user=key.uid)
    return key


def test_the_keys_of_an_account_share_its_limit(installation: Installation) -> None:
    keys = [installation.key, add_reader(installation, "anna"), add_reader(installation, "bert")]
    with serving(installation, account_rate_per_second="2", account_burst="6") as server:
        answers = [call(server, key) for key in keys * 2]
        assert [answer.status for answer in answers] == [200] * 6
        refused = call(server, keys[1])
        message = check_error(refused, "Throttling.User", server.url)
        wait_ms = int(refused.header("x-acs-retry-after"))
        assert f"limit per account). Try again in {wait_ms} ms." in message and 1 <= wait_ms <= 500
        time.sleep(wait_ms / 1000)
        assert [call(server, keys[2]).status, call(server, keys[0]).status] == [200, 400]


def test_sessions_of_a_role_are_of_the_account_too(installation: Installation) -> None:
    installation.change(add_principal, kind=PrincipalKind.ROLE, name="ci")
    installation.change(set_attachment, READ_ONLY_ACCESS, attached=True, user="ci")
    begun = [installation.change(begin_session, "ci", name="ci", seconds=900) for _ in range(4)]
    with serving(installation, account_rate_per_second="0.1", account_burst="3", key_burst="1") as server:
        codes = []
        for one in begun:
            key = NewAccessKey(one.session.access_key_id, one.session.secret, one.session.uid)
            codes.append(call(server, key, security_token=one.token).code)
        assert codes == ["", "", "", "Throttling.User"]


def test_another_account_does_not_feel_it(installation: Installation) -> None:
    async def second(custody: Custody) -> Any:
        account = await add_account(custody, AUTHOR, time.time(), name="second", region_id="local")
        return await add_access_key(custody, account, AUTHOR, time.time(), account)

    other = installation.run(second)
    with serving(installation, account_rate_per_second="0.1", account_burst="1") as server:
        assert [call(server, installation.key).status for _ in range(2)] == [200, 400]
        assert [call(server, other).status for _ in range(2)] == [200, 400]


def test_a_call_over_the_accounts_limit_keeps_its_nonce(installation: Installation) -> None:
    with serving(installation, account_rate_per_second="2", account_burst="1") as server:
        assert call(server, installation.key).status == 200
        refused = call(server, installation.key, nonce="kept")
        time.sleep(int(refused.header("x-acs-retry-after")) / 1000)
        assert (refused.status, call(server, installation.key, nonce="kept").status) == (400, 200)


def test_nobody_spends_the_limit_of_an_account_without_a_secret(installation: Installation) -> None:
    with serving(installation, account_rate_per_second="0.1", account_burst="1") as server:
        for _ in range(3):
            check_error(call(server, installation.key, secret=b"guessed"), "SignatureDoesNotMatch", server.url)
        assert call(server, installation.key).status == 200


def test_two_hundred_reads_at_once_of_one_key_pass_with_the_defaults(installation: Installation) -> None:
    with serving(installation) as server, ThreadPoolExecutor(40) as pool:
        statuses = list(pool.map(lambda _: call(server, installation.key).status, range(200)))
    assert statuses == [200] * 200
