from collections import Counter
from itertools import pairwise
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubecustody.core.paging import LEVELS, PageRequest, children_of, nodes_of, step_into

# Gaps that reach over the borders of nodes of every level.
gaps = st.sampled_from((1, 1, 1, 2, 63, 64, 65, 4_095, 4_097, 262_143, 262_145))
changes = st.lists(st.tuples(st.booleans(), gaps, st.integers(0, 1_000)), max_size=150)


History: TypeAlias = list[tuple[bool, int, int]]


class Tree:
    """The counted tree over a plain counter, in place of a table of nodes."""

    def __init__(self) -> None:
        self.count: Counter[tuple[int, int]] = Counter()
        self.live: set[int] = set()

    def create(self, seq: int) -> None:
        self.live.add(seq)
        self.count.update(nodes_of(seq))

    def delete(self, seq: int) -> None:
        self.live.remove(seq)
        self.count.subtract(nodes_of(seq))

    def find(self, offset: int) -> int:
        indexes = sorted(index for level, index in self.count if level == LEVELS[0])
        for level in LEVELS:
            nodes = [(index, self.count[level, index]) for index in indexes if (level, index) in self.count]
            index, offset = step_into(nodes, offset)
            indexes = list(children_of(index))
        return [seq for seq in indexes if seq in self.live][offset]


def grown(history: History) -> Tree:
    tree, seq = Tree(), 0
    for creates, gap, which in history:
        if creates or not tree.live:
            seq += gap
            tree.create(seq)
        else:
            tree.delete(sorted(tree.live)[which % len(tree.live)])
    return tree


@given(changes)
def test_walking_the_tree_finds_what_slicing_a_list_finds(history: History) -> None:
    tree = grown(history)
    assert [tree.find(offset) for offset in range(len(tree.live))] == sorted(tree.live)


@given(changes, st.integers(0, 50))
def test_an_offset_past_the_last_entry_is_refused(history: History, beyond: int) -> None:
    tree = grown(history)
    with pytest.raises(IndexError):
        tree.find(len(tree.live) + beyond)


@given(st.integers(0, 2**40))
def test_every_node_is_a_child_of_the_one_above(seq: int) -> None:
    nodes = nodes_of(seq)
    assert [level for level, _ in nodes] == [3, 2, 1]
    for (_, above), (_, below) in pairwise(nodes):
        assert below in children_of(above)
    assert seq in children_of(nodes[-1][1])


def test_nodes_of_a_known_number() -> None:
    assert nodes_of(262_144 + 64) == ((3, 1), (2, 64), (1, 4097))


@pytest.mark.parametrize(("number", "size", "offset"), [(1, 50, 0), (2, 50, 50), (20, 7, 133)])
def test_offset_of_a_page(number: int, size: int, offset: int) -> None:
    assert PageRequest(number, size).offset == offset
