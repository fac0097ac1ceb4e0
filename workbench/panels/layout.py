"""A layered drawing of a directed graph, left to right, the same every time.

Cycles are cut at edges that go back, nodes go into the column after their last caller, long edges get a bend in every
column they cross, columns are ordered to cross little, and heights are evened out towards neighbours.

References
----------
Sugiyama, Tagawa, Toda, "Methods for Visual Understanding of Hierarchical System Structures", 1981; the order within a
column follows the barycentre heuristic given there.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

__all__ = ["Placed", "layered"]

_SWEEPS = 8
_GAPS = (1.0, 0.8, 0.42)  # rows between two nodes, a node and a bend, two bends


class Placed:
    """Where things are, in columns and rows.

    Attributes
    ----------
    at : dict of str to (float, float)
        Column and height of every node.
    paths : dict of (str, str) to tuple of (float, float)
        Points of every edge from caller to callee, both ends included.
    columns : int
    height : float
        Rows from the topmost to the lowest node.
    """

    def __init__(
        self, at: dict[str, tuple[float, float]], paths: dict[tuple[str, str], tuple[tuple[float, float], ...]]
    ) -> None:
        self.at = at
        self.paths = paths
        self.columns = 1 + int(max((x for x, _ in at.values()), default=0.0))
        self.height = max((y for _, y in at.values()), default=0.0)


def layered(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> Placed:
    """Return a place for every node and a path for every edge.

    Parameters
    ----------
    nodes : sequence of str
        Distinct names.
    edges : sequence of (caller, callee)
        Between those nodes; repetitions count once, an edge from a node to itself has a path of one point.
    """
    names = sorted(nodes)
    number = {name: i for i, name in enumerate(names)}
    n = len(names)
    links = sorted({(number[a], number[b]) for a, b in edges if a != b})
    back = _back_edges(n, links)
    forward = sorted({(b, a) if (a, b) in back else (a, b) for a, b in links})
    column = _columns(n, forward)
    chains, columns = _with_bends(n, forward, column)
    _order(columns, chains)
    height = _heights(columns, chains, n)
    at = {name: (float(column[i]), height[i]) for i, name in enumerate(names)}
    paths: dict[tuple[str, str], tuple[tuple[float, float], ...]] = {(a, b): (at[a],) for a, b in edges if a == b}
    for a, b in links:
        key = (b, a) if (a, b) in back else (a, b)
        first = column[key[0]]
        points = tuple((float(first + i), height[member]) for i, member in enumerate(chains[key]))
        paths[(names[a], names[b])] = points[::-1] if (a, b) in back else points
    return Placed(at, paths)


Link = tuple[int, int]
Chains = dict[Link, list[int]]


def _neighbours(links: Sequence[Link]) -> dict[int, list[int]]:
    out: dict[int, list[int]] = {}
    for a, b in links:
        out.setdefault(a, []).append(b)
    return out


def _back_edges(n: int, links: Sequence[Link]) -> set[Link]:
    """Return the edges that close a cycle in a depth-first walk that starts at nodes nobody calls."""
    out = _neighbours(links)
    called = {b for _, b in links}
    state: dict[int, int] = {}
    back: set[Link] = set()
    for root in [i for i in range(n) if i not in called] + list(range(n)):
        if root in state:
            continue
        stack = [(root, iter(out.get(root, [])))]
        state[root] = 1
        while stack:
            node, rest = stack[-1]
            for callee in rest:
                if state.get(callee) == 1:
                    back.add((node, callee))
                elif callee not in state:
                    state[callee] = 1
                    stack.append((callee, iter(out.get(callee, []))))
                    break
            else:
                state[node] = 2
                stack.pop()
    return back


def _columns(n: int, forward: Sequence[Link]) -> list[int]:
    """Return the length of the longest path that ends at each node (Kahn's order)."""
    out = _neighbours(forward)
    waiting = [0] * n
    for _, b in forward:
        waiting[b] += 1
    column = [0] * n
    ready = [i for i in range(n) if waiting[i] == 0]
    for node in ready:
        for callee in out.get(node, []):
            column[callee] = max(column[callee], column[node] + 1)
            waiting[callee] -= 1
            if waiting[callee] == 0:
                ready.append(callee)
    return column


def _with_bends(n: int, forward: Sequence[Link], column: Sequence[int]) -> tuple[Chains, list[list[int]]]:
    """Return the members of every edge, a bend in each column between its ends, and the members of every column.

    Members below `n` are nodes, the others bends.
    """
    columns: list[list[int]] = [[] for _ in range(1 + max(column, default=0))]
    for node in range(n):
        columns[column[node]].append(node)
    chains: Chains = {}
    free = n
    for a, b in forward:
        bends = list(range(free, free + max(column[b] - column[a] - 1, 0)))
        free += len(bends)
        for c, bend in enumerate(bends, column[a] + 1):
            columns[c].append(bend)
        chains[(a, b)] = [a, *bends, b]
    return chains, columns


def _sides(chains: Chains) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    left: dict[int, list[int]] = {}
    right: dict[int, list[int]] = {}
    for chain in chains.values():
        for a, b in itertools.pairwise(chain):
            right.setdefault(a, []).append(b)
            left.setdefault(b, []).append(a)
    return left, right


def _order(columns: list[list[int]], chains: Chains) -> None:
    """Order every column by the mean place of its neighbours, sweeping right and left in turn."""
    left, right = _sides(chains)
    place = {m: i / max(len(c), 1) for c in columns for i, m in enumerate(c)}
    for sweep in range(_SWEEPS):
        sides = left if sweep % 2 == 0 else right
        for members in columns if sweep % 2 == 0 else columns[::-1]:
            wish = {m: _mean([place[k] for k in sides.get(m, [])], place[m]) for m in members}
            members.sort(key=wish.__getitem__)
            place |= {m: i / len(members) for i, m in enumerate(members)}


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _heights(columns: list[list[int]], chains: Chains, n: int) -> list[float]:
    """Return heights: each member drawn towards its neighbours, none closer than its gap, the topmost node at 0."""
    left, right = _sides(chains)
    height: dict[int, float] = {}
    for members in columns:
        for i, member in enumerate(members):
            height[member] = i - (len(members) - 1) / 2
    for sweep in range(2 * _SWEEPS):
        for members in columns if sweep % 2 == 0 else columns[::-1]:
            wish = [_mean([height[k] for k in left.get(m, []) + right.get(m, [])], height[m]) for m in members]
            height |= zip(members, _spread(members, wish, n), strict=True)
    lowest = min((height[i] for i in range(n)), default=0.0)
    return [height[m] - lowest for m in range(len(height))]


def _spread(members: Sequence[int], wish: Sequence[float], n: int) -> list[float]:
    """Return heights in the given order, at least a gap apart, as near to the wishes as averaging two passes gives."""
    gaps = [_GAPS[(a >= n) + (b >= n)] for a, b in itertools.pairwise(members)]
    down, up = list(wish), list(wish)
    for i, gap in enumerate(gaps):
        down[i + 1] = max(down[i + 1], down[i] + gap)
    for i, gap in reversed(list(enumerate(gaps))):
        up[i] = min(up[i], up[i + 1] - gap)
    return [(a + b) / 2 for a, b in zip(down, up, strict=True)]
