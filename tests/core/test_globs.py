from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubecustody.core.globs import has_wildcard, matches


def slow_matches(pattern: str, text: str) -> bool:
    @cache
    def fits(p: int, t: int) -> bool:
        if p == len(pattern):
            return t == len(text)
        if pattern[p] == "*":
            return fits(p + 1, t) or (t < len(text) and fits(p, t + 1))
        return t < len(text) and pattern[p] in ("?", text[t]) and fits(p + 1, t + 1)

    return fits(0, 0)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("ab*b", "ab"), ("*ab*ba*", "aba"), ("*ab*b", "ab"), ("a?*?", "ab"), ("a*?", "a"), ("?", ""), ("", "a")],
)
def test_no_character_is_matched_twice(pattern: str, text: str) -> None:
    assert not matches(pattern, text)


@given(st.text("ab*?", max_size=12), st.text("ab", max_size=16))
def test_glob_agrees_with_a_slow_reference(pattern: str, text: str) -> None:
    assert matches(pattern, text) is slow_matches(pattern, text)


@given(st.text("a*?:", max_size=8), st.text("a*?:", max_size=8))
def test_glob_takes_a_text_with_wildcards_in_it_as_text(pattern: str, text: str) -> None:
    assert matches(pattern, text) is slow_matches(pattern, text)


@pytest.mark.parametrize("piece", ["a*", "a?*", "?*", "*?a"])
def test_many_stars_do_not_blow_up(piece: str) -> None:
    assert not matches(piece * 2000 + "b", "a" * 6000)


@given(st.text("ab*?", max_size=6))
def test_only_a_pattern_without_wildcard_fits_nothing_but_itself(pattern: str) -> None:
    others = [pattern + "a", pattern.replace("?", "a").replace("*", ""), pattern.replace("*", "b").replace("?", "b")]
    assert any(other != pattern and matches(pattern, other) for other in others) is has_wildcard(pattern)
