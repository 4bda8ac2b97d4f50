"""Cutting: pieces follow the content, sizes stay in bounds, memory stays small."""

import hashlib

import pytest
from blake3 import blake3

from syncd.chunks.chunker import (
    HUGE_AVERAGE,
    LARGE_AVERAGE,
    MIDDLE_AVERAGE,
    SMALL_AVERAGE,
    WHOLE,
    average_for,
    chunk,
)

GIB = 1 << 30
DATA = hashlib.shake_128(b"chunker").digest(4_000_000)


def cut(data: bytes, average: int = SMALL_AVERAGE) -> list[tuple[bytes, int]]:
    pieces = list(chunk(lambda at, size: data[at : at + size], len(data), average))
    assert b"".join(part for _, part in pieces) == data
    for piece, part in pieces:
        assert (piece.hash, piece.size) == (blake3(part).digest(), len(part))
    return [(piece.hash, piece.size) for piece, _ in pieces]


@pytest.mark.parametrize(("size", "pieces"), [(0, 0), (1, 1), (WHOLE, 1)], ids=["empty", "one byte", "the limit"])
def test_small_content_is_one_chunk(size: int, pieces: int) -> None:
    assert len(cut(DATA[:size])) == pieces


def test_sizes_stay_in_bounds_and_cutting_is_repeatable() -> None:
    pieces = cut(DATA)
    assert cut(DATA) == pieces
    assert all(SMALL_AVERAGE // 4 <= size <= SMALL_AVERAGE * 4 for _, size in pieces[:-1])
    assert SMALL_AVERAGE // 2 < len(DATA) / len(pieces) < SMALL_AVERAGE * 3


@pytest.mark.parametrize("at", [0, 1_999_999, 4_000_000], ids=["at the start", "in the middle", "at the end"])
def test_an_inserted_byte_changes_few_pieces(at: int) -> None:
    before, after = dict(cut(DATA)), dict(cut(DATA[:at] + b"!" + DATA[at:]))
    assert len(set(after) - set(before)) <= 4


def test_content_without_features_is_cut_at_the_maximum() -> None:
    assert max(size for _, size in cut(bytes(2_000_000))) == SMALL_AVERAGE * 4


def test_a_short_read_yields_less_and_the_caller_can_tell() -> None:
    pieces = list(chunk(lambda at, size: DATA[at : min(at + size, 1_000_000)], len(DATA), SMALL_AVERAGE))
    assert sum(piece.size for piece, _ in pieces) == 1_000_000


def test_never_reads_beyond_the_size_it_was_told() -> None:
    pieces = list(chunk(lambda at, size: DATA[at : at + size], 1_000_000, SMALL_AVERAGE))
    assert sum(piece.size for piece, _ in pieces) == 1_000_000


@pytest.mark.parametrize(
    ("size", "base", "average"),
    [
        pytest.param(GIB // 4, None, SMALL_AVERAGE, id="small"),
        pytest.param(GIB // 4 + 1, None, MIDDLE_AVERAGE, id="middle"),
        pytest.param(4 * GIB, None, MIDDLE_AVERAGE, id="up to 4 GiB"),
        pytest.param(5 * GIB, None, LARGE_AVERAGE, id="large"),
        pytest.param(100 * GIB, None, HUGE_AVERAGE, id="huge"),
        pytest.param(5 * GIB, MIDDLE_AVERAGE, MIDDLE_AVERAGE, id="a little grown: cut as before"),
        pytest.param(20 * GIB, MIDDLE_AVERAGE, LARGE_AVERAGE, id="much grown: cut anew"),
        pytest.param(2 * GIB, LARGE_AVERAGE, LARGE_AVERAGE, id="a little shrunk: cut as before"),
        pytest.param(GIB // 2, LARGE_AVERAGE, MIDDLE_AVERAGE, id="much shrunk: cut anew"),
        pytest.param(1, SMALL_AVERAGE, SMALL_AVERAGE, id="nothing is too small for the smallest"),
        pytest.param(GIB, 12345, MIDDLE_AVERAGE, id="a foreign average is not kept"),
    ],
)
def test_average_for(size: int, base: int | None, average: int) -> None:
    assert average_for(size, base) == average


def test_memory_stays_within_a_few_pieces() -> None:
    largest = 0

    def read(at: int, size: int) -> bytes:
        nonlocal largest
        largest = max(largest, size)
        return bytes(min(size, (64 << 20) - at))

    for _ in chunk(read, 64 << 20, SMALL_AVERAGE):
        pass
    assert largest <= 1 << 20
