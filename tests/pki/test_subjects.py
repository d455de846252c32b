"""What a subject says."""

import pytest

from kubecustody.pki.subjects import parse_common_name, remarkable_groups


@pytest.mark.parametrize(
    ("common_name", "uid"),
    [
        ("2111", "2111"),
        ("2111-1795497642123456789", "2111"),
        ("007-1", "007"),
        ("2111-", None),
        ("-1", None),
        ("2111-1-2", None),
        ("2111 ", None),
        ("2111\n", None),
        ("admin", None),
        ("", None),
        ("٢١١١", None),
        ("2111-²", None),
    ],
)
def test_only_ascii_digits_with_one_suffix_name_a_uid(common_name: str, uid: str | None) -> None:
    assert parse_common_name(common_name) == uid


def test_groups_that_reach_further_are_found_once_and_in_order() -> None:
    groups = ["dev", "system:nodes", "system:users", "kubeadm:cluster-admins", "system:masters", "system:nodes"]
    assert remarkable_groups(groups) == ("system:nodes", "kubeadm:cluster-admins", "system:masters")
    assert remarkable_groups(["system:users", "systems", "System:masters"]) == ()
