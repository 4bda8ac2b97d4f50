"""Makes a failing case small: drops what people did, step by step, while it still fails; then says it in words."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.property.case import Case, play

PARTS = ("again_there", "again_here", "there", "here", "base")
MOST_PLAYS = 4000


def failure(case: Case, trace: Callable[[str], None] | None = None) -> str | None:
    """Return what breaks when the case is played, in one line; None when nothing does."""
    try:
        play(case, trace=trace)
    except Exception as why:  # noqa: BLE001 - any way of failing is one
        return f"{type(why).__name__}: {why}".splitlines()[0]
    return None


def kind_of(why: str) -> str:
    """Return what failures have in common that are the same but for numbers."""
    return "".join(char for char in why.split("Op(")[0].split("Node(")[0] if not char.isdigit())[:60]


def shrink(case: Case, fails: Callable[[Case], str | None] = failure) -> Case:
    """Return a smallest case that fails in the same way as *case*, which must fail."""
    why = fails(case)
    assert why is not None, "only what fails can be shrunk"
    same = kind_of(why)
    left = MOST_PLAYS

    def still(candidate: Case) -> bool:
        nonlocal left
        left -= 1
        found = fails(candidate)
        return found is not None and kind_of(found) == same

    smaller = True
    while smaller and left > 0:
        smaller = False
        for candidate in _smaller(case):
            if left > 0 and still(candidate):
                case, smaller = candidate, True
                break
    return case


def _smaller(case: Case) -> Iterator[Case]:
    for part in PARTS:
        steps = getattr(case, part)
        if len(steps) > 2:
            for at in range(0, len(steps), 2):
                yield replace(case, **{part: steps[:at] + steps[at + 2 :]})
        for at in range(len(steps)):
            yield replace(case, **{part: steps[:at] + steps[at + 1 :]})
    for bit in (1, 2, 4, 8, 16):
        if case.traits & bit:
            yield replace(case, traits=case.traits & ~bit)
    if case.kind in ("late", "again", "here", "there"):
        yield replace(case, kind="two")
    for order in (0, 1, 2, 3, case.order // 2, case.order & 0xFFFF):
        if order < case.order:
            yield replace(case, order=order)


def story(case: Case) -> str:
    """Return the case in words, event by event, and the command that plays it again."""
    lines: list[str] = []
    why = "it passes"
    try:
        play(case, trace=lines.append)
    except Exception as error:  # noqa: BLE001 - told, not handled
        why = f"{type(error).__name__}: {error}"
    replay = f"python -m tests.property.run --replay '{case.text}'"
    return "\n".join([*(said(line) for line in lines), why, replay])


def said(line: str) -> str:
    """Leave out of an op what is as always."""
    if "Op(" not in line:
        return line
    head, _, op = line.partition("Op(")
    quiet = ("=None", "=()", "=False", "=0")
    return head + ", ".join(word for word in op.split(", ") if not word.endswith(quiet))
