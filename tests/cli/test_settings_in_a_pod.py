"""What Kubernetes puts into a Pod beside the settings stops no start; what only looks like it does."""

from pathlib import Path

import pytest

from kubecustody.settings import SettingsRefused, load_settings

# As `kubectl exec POD -- env` shows them where Services are called kubecustody and kubecustody-metrics.
OF_SERVICES = {
    "KUBECUSTODY_SERVICE_HOST": "10.96.12.7",
    "KUBECUSTODY_SERVICE_PORT": "443",
    "KUBECUSTODY_SERVICE_PORT_HTTPS": "443",
    "KUBECUSTODY_PORT": "tcp://10.96.12.7:443",
    "KUBECUSTODY_PORT_443_TCP": "tcp://10.96.12.7:443",
    "KUBECUSTODY_PORT_443_TCP_PROTO": "tcp",
    "KUBECUSTODY_PORT_443_TCP_PORT": "443",
    "KUBECUSTODY_PORT_443_TCP_ADDR": "10.96.12.7",
    "KUBECUSTODY_METRICS_SERVICE_HOST": "fd00:10:96::a",
    "KUBECUSTODY_METRICS_SERVICE_PORT": "9464",
    "KUBECUSTODY_METRICS_PORT": "tcp://[fd00:10:96::a]:9464",
    "KUBECUSTODY_METRICS_PORT_9464_TCP_ADDR": "fd00:10:96::a",
}


def test_variables_of_services_are_passed_over(tmp_path: Path) -> None:
    own = {"KUBECUSTODY_DATA_DIR": str(tmp_path), "KUBECUSTODY_WORKERS": "3"}
    assert load_settings({**OF_SERVICES, **own}) == load_settings(own)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KUBECUSTODY_PORT", "8443"),
        ("KUBECUSTODY_METRICS_PORT", "9464"),
        ("KUBECUSTODY_SERVICE_PORT", "https"),
        ("KUBECUSTODY_SERVICE_HOST", "custody.example.com"),
        ("KUBECUSTODY_SERVICE", "10.96.12.7"),
        ("KUBECUSTODY_PORT_TCP", "tcp://10.96.12.7:443"),
    ],
)
def test_what_only_looks_like_one_is_named(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsRefused, match=f"{name} is no setting"):
        load_settings({"KUBECUSTODY_DATA_DIR": str(tmp_path), name: value})
