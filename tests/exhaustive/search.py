"""Breadth first through all states, each followed to its rest. Keeps states as numbers of their parts."""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.exhaustive.promises import check, check_rest
from tests.exhaustive.steps import fair_step, steps
from tests.exhaustive.values import Broken, Mistake, World

LONGEST_REST = 400
"""Steps within which a state must come to rest; the longest seen are a fraction of it."""
Packed = tuple[int, int, int, int]


class Parts:
    """Numbers for parts of states: a state in memory is four of them."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._parts: list[Any] = []

    def pack(self, world: World) -> Packed:
        one, two, three, four = [self._number(part) for part in world]
        return one, two, three, four

    def _number(self, part: Hashable) -> int:
        number = self._numbers.setdefault(part, len(self._parts))
        if number == len(self._parts):
            self._parts.append(part)
        return number

    def unpack(self, packed: Packed) -> World:
        return World(*[self._parts[number] for number in packed])


@dataclass(slots=True)
class Found:
    """A promise broken, and how to get there: *steps* to the state, *rest* what a fair world did from there on."""

    why: str
    steps: list[str]
    rest: list[str]

    def __str__(self) -> str:
        lines = [f"  {number}. {words}" for number, words in enumerate(self.steps, 1)]
        if self.rest:
            lines += ["  and then, with no more edits and faults:", *(f"  - {words}" for words in self.rest)]
        return "\n".join([self.why, *lines])


@dataclass(slots=True)
class Search:
    """One enumeration. *depth* and *most* bound it; *left* counts the states that were not gone on from."""

    start: World
    mistakes: frozenset[Mistake] = frozenset()
    depth: int | None = None
    most: int | None = None
    parts: Parts = field(default_factory=Parts)
    came_from: dict[Packed, Packed | None] = field(default_factory=dict)
    rests: set[Packed] = field(default_factory=set)
    transitions: int = 0
    reached: int = 0
    left: int = 0
    longest: int = 0
    seconds: float = 0.0

    @property
    def states(self) -> int:
        return len(self.came_from)

    @property
    def exhausted(self) -> bool:
        return not self.left

    def run(self, tell: Callable[[str], None] = lambda line: None) -> Found | None:
        """Go through the states; returns the first broken promise found, by the shortest way."""
        began = time.monotonic()
        try:
            return self._run(tell)
        finally:
            self.seconds = time.monotonic() - began

    def _run(self, tell: Callable[[str], None]) -> Found | None:
        first = self.parts.pack(self.start)
        self.came_from[first] = None
        layer = [first]
        while layer:
            if self.depth is not None and self.reached >= self.depth:
                self.left = len(layer)
                break
            following: list[Packed] = []
            for number, packed in enumerate(layer):
                if self.most is not None and self.states >= self.most:
                    self.left = len(layer) - number + len(following)
                    return None
                found = self._go_on(packed, following)
                if found is not None:
                    return found
            if following:
                self.reached += 1
            layer = following
            tell(f"depth {self.reached}: {len(layer)} new, {self.states} states, {self.transitions} transitions")
        return None

    def _go_on(self, packed: Packed, following: list[Packed]) -> Found | None:
        world = self.parts.unpack(packed)
        try:
            for _, after in steps(world, self.mistakes):
                self.transitions += 1
                there = self.parts.pack(after)
                if there in self.came_from:
                    continue
                self.came_from[there] = packed
                following.append(there)
                check(after)
                found = self._to_rest(there, after)
                if found is not None:
                    return found
        except (Broken, AssertionError) as broken:
            last = following[-1] if following and self.came_from[following[-1]] == packed else packed
            words = [] if last != packed else self._words_until_broken(world)
            return Found(str(broken), self._way(last) + words, [])
        return None

    def _words_until_broken(self, world: World) -> list[str]:
        """Name the step that could not be taken: the one after the last that could."""
        count = 0
        try:
            for _ in steps(world, self.mistakes):
                count += 1
        except AssertionError:
            return [f"(the step after the {count} others that are possible here)"]
        return []

    def _to_rest(self, packed: Packed, world: World) -> Found | None:
        """Follow the fair steps until a state that is known to come to rest."""
        passed: dict[Packed, None] = {}
        words: list[str] = []
        at = packed
        try:
            while at not in self.rests:
                if at in passed or len(passed) > LONGEST_REST:
                    return Found("P2: it never comes to rest", self._way(packed), words)
                passed[at] = None
                step = fair_step(world, self.mistakes)
                if step is None:
                    check_rest(world)
                    break
                said, world = step
                words.append(said)
                check(world)
                at = self.parts.pack(world)
        except AssertionError as broken:
            return Found(str(broken), self._way(packed), words)
        self.longest = max(self.longest, len(passed))
        self.rests.update(passed)
        return None

    def _way(self, packed: Packed) -> list[str]:
        way = [packed]
        while (before := self.came_from[way[-1]]) is not None:
            way.append(before)
        way.reverse()
        words = []
        for one, two in pairwise(way):
            words.append(self._said(one, two))
        return words

    def _said(self, one: Packed, two: Packed) -> str:
        for said, after in steps(self.parts.unpack(one), self.mistakes):
            if self.parts.pack(after) == two:
                return said
        raise AssertionError("a step of the way cannot be repeated")
