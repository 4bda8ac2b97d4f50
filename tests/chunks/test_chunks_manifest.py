"""The manifest's encoding: it comes back as it was, and nothing odd is ever taken for one."""

import pytest
from blake3 import blake3

from syncd.chunks.manifest import MAX_ENCODED, MAX_PIECE, Manifest, Piece, decode, encode, manifest_hash
from syncd.model.errors import Corrupt

ONE, TWO = Piece(b"1" * 32, 1), Piece(b"2" * 32, MAX_PIECE)
GOOD = Manifest("fastcdc2020", 65_536, (ONE, TWO, ONE))


def test_a_manifest_comes_back_as_it_was():
    assert decode(encode(GOOD)) == GOOD
    assert GOOD.size == MAX_PIECE + 2


def test_a_manifest_is_addressed_by_its_encoding():
    assert manifest_hash(encode(GOOD)) == blake3(encode(GOOD)).digest()


def test_a_piece_takes_36_bytes():
    longer = Manifest(GOOD.chunker, GOOD.average, (*GOOD.pieces, TWO))
    assert len(encode(longer)) - len(encode(GOOD)) == 36


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(Manifest("c", 1, ()), id="no piece"),
        pytest.param(Manifest("c", 1, (ONE,)), id="one piece, which needs no list"),
        pytest.param(Manifest("", 1, (ONE, TWO)), id="no chunker"),
        pytest.param(Manifest("c" * 33, 1, (ONE, TWO)), id="a chunker's name too long"),
        pytest.param(Manifest("é", 1, (ONE, TWO)), id="a chunker's name not ASCII"),
        pytest.param(Manifest("c\n", 1, (ONE, TWO)), id="a chunker's name that cannot be shown"),
        pytest.param(Manifest("c", 0, (ONE, TWO)), id="an average of nothing"),
        pytest.param(Manifest("c", MAX_PIECE + 1, (ONE, TWO)), id="an average too large"),
        pytest.param(Manifest("c", 1, (ONE, Piece(b"3" * 32, 0))), id="an empty piece"),
        pytest.param(Manifest("c", 1, (ONE, Piece(b"3" * 32, MAX_PIECE + 1))), id="a piece too large"),
        pytest.param(Manifest("c", 1, (ONE, Piece(b"3" * 31, 1))), id="a short hash"),
        pytest.param(Manifest("c", 1, (ONE,) * (MAX_ENCODED // 36 + 1)), id="too many pieces"),
    ],
)
def test_an_odd_manifest_is_not_encoded(manifest):
    with pytest.raises(ValueError):
        encode(manifest)


GOOD_BYTES = encode(GOOD)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"syncd", id="a cut magic"),
        pytest.param(b"x" + GOOD_BYTES[1:], id="another magic"),
        pytest.param(GOOD_BYTES[:-1], id="cut"),
        pytest.param(GOOD_BYTES + b"x", id="longer"),
        pytest.param(GOOD_BYTES[:20], id="cut within the head"),
        pytest.param(GOOD_BYTES[:-4] + b"\0\0\0\0", id="an empty piece"),
        pytest.param(GOOD_BYTES[:-4] + b"\xff\xff\xff\xff", id="a piece too large"),
        pytest.param(GOOD_BYTES.replace(b"fast", b"f\xffst"), id="a chunker's name not ASCII"),
        pytest.param(GOOD_BYTES.replace(b"\x03\0\0\0", b"\xff\xff\xff\xff"), id="a count that is not so"),
        pytest.param(bytes(MAX_ENCODED + 1), id="over the limit"),
    ],
)
def test_p10_odd_bytes_are_not_a_manifest(data):
    with pytest.raises(Corrupt):
        decode(data)


def test_p10_no_change_of_one_byte_breaks_the_decoder():
    for at in range(len(GOOD_BYTES)):
        changed = bytearray(GOOD_BYTES)
        changed[at] ^= 0x55
        try:
            found = decode(bytes(changed))
        except Corrupt:
            continue
        assert found != GOOD
