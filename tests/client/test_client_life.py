"""Both clients against a real server over TLS: every operation, and a person's life."""

import base64
import logging
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from callers import Connect, Estate

from custody.books import ask
from installations import make_installation
from kubecustody.catalogue.account import WantedRole
from kubecustody.catalogue.operations import get_operation
from kubecustody.catalogue.policies import FULL_ACCESS
from kubecustody.catalogue.shapes import UNSET
from kubecustody.client import ApiError, CallFailed, Client, Endpoint
from kubecustody.client.generating import method_name
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.policies import put_policy
from kubecustody.custody.sessions import NewSession, begin_session
from kubecustody.pki.certificate_requests import make_certificate_request
from kubecustody.pki.certificates import key_matches, load_certificates
from kubecustody.pki.client_certificates import KeyType, make_key

ISSUE_POLICY = (
    '{"Version":"1","Statement":[{"Effect":"Allow","Action":"kubecustody:IssueCredential","Resource":"*"},'
    '{"Effect":"Allow","Action":"cs:*","Resource":"*"}]}'
)


@pytest.fixture
def way(request: pytest.FixtureRequest, connect: Connect) -> str:
    """How this test calls, for names that no other has."""
    return str(request.node.callspec.params["connect"].__name__.lower())


def finished(client: Any, task_id: str) -> Any:
    deadline = time.monotonic() + 20
    while (task := client.describe_task_info(task_id)).state == "running" and time.monotonic() < deadline:
        time.sleep(0.1)
    return task


def requested(estate: Estate, uid: str) -> list[bool]:
    sql = "SELECT removal_requested_at IS NOT NULL FROM credentials WHERE uid = ? ORDER BY credential_no"
    return [bool(wish) for (wish,) in ask(estate.path, sql, uid)]


def certificate_of(config: str) -> Any:
    document = yaml.safe_load(config)
    data = document["users"][0]["user"]["client-certificate-data"]
    return load_certificates(base64.b64decode(data))[0]


def test_operations_answer_what_the_catalogue_says(estate: Estate, connect: Connect, way: str) -> None:
    bert = estate.add(f"bert-{way}")
    account, prod = connect(estate.account), estate.clusters["prod"]
    key = make_key(KeyType.ED25519)
    account.describe_subaccount_k8s_cluster_user_config(prod, bert.uid)
    task_id = account.clean_user_permissions(bert.uid, cluster_ids=[prod], force=True).task_id
    calls: dict[str, dict[str, Any]] = {
        "ListUserKubeConfigStates": {"uid": bert.uid, "page_size": 1},
        "ListClusterKubeconfigStates": {"cluster_id": prod},
        "DescribeClusterUserKubeconfig": {"cluster_id": prod},
        "DescribeClusterV2UserKubeconfig": {"cluster_id": prod},
        "DescribeSubaccountK8sClusterUserConfig": {"cluster_id": prod, "uid": bert.uid},
        "UpdateK8sClusterUserConfigExpire": {"cluster_id": prod, "expire_hour": 720, "user": bert.uid},
        "RevokeK8sClusterKubeConfig": {"cluster_id": prod},
        "CleanClusterUserPermissions": {"cluster_id": prod, "uid": bert.uid, "force": True},
        "IssueCredential": {"cluster_id": prod, "csr": make_certificate_request(key), "temporary_duration_minutes": 15},
        "CleanUserPermissions": {"uid": bert.uid, "cluster_ids": list(estate.clusters.values()), "force": True},
        "DescribeTaskInfo": {"task_id": task_id},
        "DescribeClusterTasks": {"cluster_id": prod},
        "DescribeUserPermission": {"uid": bert.uid},
        "DescribeClustersV1": {"name": "pro"},
        "DescribeClusters": {},
        "DescribeClustersForRegion": {"region_id": "local", "page_size": 1},
        "DescribeClusterDetail": {"cluster_id": prod},
        "DescribeUserQuota": {},
        "DescribeRegions": {"accept_language": "en-US"},
        "CheckServiceRole": {"roles": [WantedRole("AliyunCSDefaultRole"), WantedRole("生产")]},
    }
    answers = {}
    for operation in map(get_operation, calls):
        answered = getattr(account, method_name(operation))(**calls[operation.name])
        answers[operation.name] = answered
        if operation.returns_list:
            assert isinstance(answered, list) and all(type(one) is operation.output for one in answered)
        else:
            assert type(answered) is (operation.output or type(None)), answered
    with pytest.raises(ApiError) as caught:
        account.describe_user_cluster_activity_state(prod, bert.uid)
    told = caught.value
    assert (told.code, told.status, len(told.request_id)) == ("ErrorAuditNotReadable", 400, 36)
    assert [one.name for one in answers["CheckServiceRole"].roles] == ["AliyunCSDefaultRole", "生产"]
    assert {one.cluster_id for one in answers["DescribeClusters"]} == set(estate.clusters.values())
    assert [one.cluster_id for one in answers["DescribeClustersV1"].clusters] == [prod]
    states = answers["ListUserKubeConfigStates"]
    assert (states.page.page_size, len(states.states), states.page.total_count) == (1, 1, 2)
    assert task_id in {one.task_id for one in answers["DescribeClusterTasks"].tasks}


def test_a_persons_life(estate: Estate, connect: Connect, way: str) -> None:
    prod, stage = estate.clusters["prod"], estate.clusters["stage"]
    estate.installation.change(put_policy, f"all-{way}", ISSUE_POLICY)
    key = estate.add(f"anna-{way}", f"all-{way}")
    anna, account = connect(estate.endpoint(key)), connect(estate.account)

    def row(cluster: str = prod) -> Any:
        states = anna.list_user_kube_config_states().states  # without a uid: one's own
        return next(one for one in states if one.cluster_id == cluster)

    assert (row().cert_state, row().cert_expire_time, row().can_get_in) == ("Unissued", "", UNSET)
    detailed = anna.list_user_kube_config_states(uid=key.uid, detail=True).states
    assert {one.can_get_in for one in detailed} == {"no"} and detailed[0].live_credentials == []

    first = anna.describe_cluster_user_kubeconfig(prod)
    assert (row().cert_state, row().cert_expire_time) == ("Unexpired", first.expiration)
    assert anna.describe_cluster_v2_user_kubeconfig(prod).config == first.config
    assert account.describe_subaccount_k8s_cluster_user_config(prod, key.uid) == first
    intranet = anna.describe_cluster_user_kubeconfig(prod, private_ip_address=True).config
    assert "https://10.0.0.7:6443" in intranet and certificate_of(intranet) == certificate_of(first.config)
    holders = account.list_cluster_kubeconfig_states(prod, page_size=50).states
    assert [one.cert_state for one in holders if one.account_id == key.uid] == ["Unexpired"]

    account.update_k8s_cluster_user_config_expire(prod, 720, key.uid)
    shorter = anna.describe_cluster_user_kubeconfig(prod)
    assert shorter.expiration < first.expiration

    anna.revoke_k8s_cluster_kube_config(prod)
    assert requested(estate, key.uid) == [True, True, False]
    assert anna.describe_cluster_user_kubeconfig(prod).config not in (first.config, shorter.config)

    own = make_key(KeyType.P256)
    issued = anna.issue_credential(stage, make_certificate_request(own), temporary_duration_minutes=15)
    certificate = load_certificates(issued.certificate.encode())[0]
    assert key_matches(certificate, own) and certificate.fingerprint.hex() == issued.fingerprint
    assert certificate_of(issued.config) == certificate and "client-key" not in issued.config
    assert row(stage).cert_expire_time == issued.expiration

    task_id = account.clean_user_permissions(key.uid, cluster_ids=[prod, stage], force=True).task_id
    task = finished(account, task_id)
    assert (task.state, {one.data: one.status for one in task.task_result}) == (
        "success",
        {prod: "success", stage: "success"},
    )
    assert requested(estate, key.uid) == [True] * 4


def test_error_of_a_real_server(estate: Estate, connect: Connect, way: str) -> None:
    nobody = connect(estate.endpoint(estate.add(f"nobody-{way}")))
    with pytest.raises(ApiError) as caught:
        nobody.describe_cluster_user_kubeconfig(estate.clusters["prod"])
    told = caught.value
    assert (told.code, told.status, len(told.request_id)) == ("StatusForbidden", 403, 36)
    assert told.message in str(told) and told.request_id in str(told)
    assert told.body["accessDeniedDetail"]
    with pytest.raises(ApiError) as caught:
        connect(estate.account).clean_user_permissions("2", cluster_ids=[], force=True)
    assert caught.value.code == "InvalidParameter" and "empty entry" in caught.value.message


def test_session_of_a_role_calls_with_its_token(estate: Estate, connect: Connect, way: str) -> None:
    role = f"deployer-{way}"
    estate.add(role, FULL_ACCESS, kind=PrincipalKind.ROLE)
    begun = estate.installation.change(begin_session, role, name="ci", seconds=900)
    assert isinstance(begun, NewSession)
    session = begun.session
    root = estate.installation.settings.tls_root_file

    def endpoint(token: str | None) -> Endpoint:
        return Endpoint(estate.server.url, session.access_key_id, session.secret, root, token)

    client = connect(endpoint(begun.token))
    given = client.describe_cluster_user_kubeconfig(estate.clusters["prod"])
    assert session.uid in given.config
    assert client.list_user_kube_config_states().states[0].cert_expire_time == given.expiration
    for token in (None, begun.token[:-1]):
        with pytest.raises(ApiError) as caught:
            connect(endpoint(token)).describe_regions()
        assert "SecurityToken" in caught.value.code
        assert begun.token not in str(caught.value)


def test_reads_over_tls_share_one_connection(estate: Estate) -> None:
    """TLS 1.3 sends tickets after the handshake; these are no sign that the server has closed."""
    with Client(estate.account) as client:
        client.describe_regions()
        kept = client._kept
        for _ in range(3):
            client.describe_regions()
        assert client._kept is kept is not None


# --- whom the client trusts


def test_root_that_init_made_is_needed(estate: Estate, connect: Connect, tmp_path: Path) -> None:
    other = make_installation(tmp_path).settings.tls_root_file
    for wrong in (None, other):
        client = connect(estate.endpoint(estate.installation.key, ca_file=wrong))
        with pytest.raises(CallFailed) as caught:
            client.describe_regions()
        assert "is not trusted" in str(caught.value) and "--ca FILE or SSL_CERT_FILE=FILE" in str(caught.value)
        assert "tls/root.pem" in str(caught.value)
        assert (str(other) in str(caught.value)) is (wrong is not None)


def test_server_by_a_name_that_its_certificate_lacks_is_not_trusted(estate: Estate, connect: Connect) -> None:
    url = estate.server.url.replace("127.0.0.1", "127.0.0.2")
    key = estate.installation.key
    elsewhere = connect(Endpoint(url, key.access_key_id, key.secret, estate.installation.settings.tls_root_file))
    with pytest.raises(CallFailed, match=r"does not answer|is for another host .* `kubecustody init --host` was told"):
        elsewhere.describe_regions()


@pytest.mark.parametrize("content", [b"", b"no certificate", None])
def test_root_that_cannot_be_read_is_told(estate: Estate, connect: Connect, tmp_path: Path, content: Any) -> None:
    file = tmp_path / "root.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CallFailed, match="cannot be read as a root certificate"):
        connect(estate.endpoint(estate.installation.key, ca_file=file))


def test_wrong_protocol_is_told(estate: Estate, connect: Connect) -> None:
    key = estate.installation.key
    plain = connect(Endpoint(estate.server.url.replace("https", "http"), key.access_key_id, key.secret))
    with pytest.raises(CallFailed):
        plain.describe_regions()


# --- secrets


def test_secrets_are_in_no_repr_error_or_log(
    estate: Estate, connect: Connect, way: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    key = estate.add(f"canary-{way}", FULL_ACCESS)
    token = "token-that-nobody-may-see"
    endpoint = estate.endpoint(key)
    client = connect(endpoint)
    given = client.describe_cluster_user_kubeconfig(estate.clusters["prod"])
    private = yaml.safe_load(given.config)["users"][0]["user"]["client-key-data"]
    told = [repr(endpoint), repr(client), str(vars(getattr(client, "client", client)))]
    with_token = estate.endpoint(key, security_token=token)
    wrong = estate.endpoint(key._replace(access_key_id="nobody"))
    for other in (with_token, wrong, Endpoint("http://127.0.0.1:1", "KEY", key.secret, None, token)):
        told.append(repr(other))
        with pytest.raises((ApiError, CallFailed)) as caught:
            connect(other).describe_regions()
        error: BaseException | None = caught.value
        while error is not None:
            told += [str(error), repr(error), str(vars(error))]
            error = error.__cause__ or error.__context__
    out, err = capfd.readouterr()
    told += [caplog.text, out, err, estate.server.log.read_text()]
    for secret in (key.secret, token, private, base64.b64decode(private).decode().split("\n")[1]):
        assert not any(secret in text for text in told)
