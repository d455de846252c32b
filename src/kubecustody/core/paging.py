"""The arithmetic of the counted tree, by which a page deep in a long list is found in a few small steps.

Entries have growing numbers (`seq`). A node of a level counts the listed entries of a run of numbers: level 1
those of 64 numbers, level 2 of 64 nodes of level 1, level 3 of 64 of level 2. Whoever looks for the n-th
entry reads the top nodes, steps into the one that holds it, and so on down to a run of 64 numbers. Creating
and deleting an entry changes one node a level, whatever the length of the list.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

FANOUT_BITS: Final = 6
LEVELS: Final = (3, 2, 1)  # top down


class PageRequest(NamedTuple):
    """One page of a list: `number` from 1 on, `size` entries each."""

    number: int
    size: int

    @property
    def offset(self) -> int:
        """How many entries come before the page."""
        return (self.number - 1) * self.size


def nodes_of(seq: int) -> tuple[tuple[int, int], ...]:
    """The (level, index) of every node that counts the entry `seq`, top down."""
    return tuple((level, seq >> (FANOUT_BITS * level)) for level in LEVELS)


def children_of(index: int) -> range:
    """The indexes, one level down, that lie under a node; under one of level 1 these are seqs."""
    return range(index << FANOUT_BITS, (index + 1) << FANOUT_BITS)


def step_into(nodes: Sequence[tuple[int, int]], offset: int) -> tuple[int, int]:
    """The index of the node that holds the entry `offset` (from 0), and the offset left inside it.

    `nodes` are the (index, count) of one level, sorted by index; nodes without entries may be left out.
    Raises IndexError when they hold fewer entries.
    """
    remaining = offset
    for index, count in nodes:
        if remaining < count:
            return index, remaining
        remaining -= count
    raise IndexError(f"the nodes hold {offset - remaining} entries, none of them is number {offset}")
