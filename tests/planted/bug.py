"""What a planted bug is: one careless change of one file, and the tests that must notice it. Never runs anything."""

from dataclasses import dataclass
from pathlib import Path


class DoesNotApply(Exception):
    """The code has moved on: the text to be replaced is not there exactly once."""


@dataclass(frozen=True, slots=True)
class Bug:
    """One planted bug.

    *mistake* is what a careless person might do, in one sentence. *old* must be in *file* exactly once and becomes
    *new*. *promise* is what it breaks. *tests* are the pytest arguments of the fastest honest suite that catches it,
    *cases* and *seed* what a storm needs in ``SYNCD_CASES`` and ``SYNCD_SEED``. *awaits* names what is needed first
    where no suite of today can show it: such a bug must apply, and is not run.
    """

    name: str
    mistake: str
    promise: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    cases: int | None = None
    seed: int | None = None
    awaits: str = ""

    def applied_to(self, text: str) -> str:
        """Return the file's *text* with the bug in it; raises DoesNotApply."""
        found = text.count(self.old)
        if found != 1:
            raise DoesNotApply(f"its text is {found} times in {self.file}, not once")
        return text.replace(self.old, self.new)

    def plant(self, tree: Path) -> None:
        """Put the bug into the copy of the project at *tree*; raises DoesNotApply."""
        path = tree / self.file
        if not path.is_file():
            raise DoesNotApply(f"there is no {self.file}")
        path.write_text(self.applied_to(path.read_text("utf-8")), "utf-8")

    @property
    def selection(self) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
        """What is run for it: pytest's arguments, and the environment a storm reads."""
        named = (("SYNCD_CASES", self.cases), ("SYNCD_SEED", self.seed))
        return self.tests, tuple((name, str(value)) for name, value in named if value is not None)
