"""Two devices and a hub: they come to rest on one tree (P2), nothing is lost (P1), one editor makes no conflict."""

import pytest

from tests.property.devices import play
from tests.property.seeds import CASES, blocks, first_failure, name


@pytest.mark.parametrize("block", blocks(CASES // 40, 100), ids=name)
def test_p1_p2_two_devices_come_to_rest_on_one_tree(block: range) -> None:
    assert first_failure(block, play) is None
