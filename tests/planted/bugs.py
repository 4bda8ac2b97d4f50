"""All planted bugs, in the order of the table."""

from typing import Final

from tests.planted import (
    in_adapters,
    in_db,
    in_engine,
    in_execute,
    in_findings,
    in_hub,
    in_looks,
    in_observe,
    in_plan,
    in_plays,
)
from tests.planted.bug import Bug

BUGS: Final[tuple[Bug, ...]] = (
    *in_plan.BUGS,
    *in_observe.BUGS,
    *in_execute.BUGS,
    *in_adapters.BUGS,
    *in_engine.BUGS,
    *in_looks.BUGS,
    *in_findings.BUGS,
    *in_plays.BUGS,
    *in_db.BUGS,
    *in_hub.BUGS,
)
