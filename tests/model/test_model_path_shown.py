"""Names as people read them: nothing in them steers a terminal, and what is not text is told apart (P10)."""

import pytest

from syncd.model.path import is_text, shown, shown_path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("plain ü 中", "plain ü 中"),
        ("\udcff", "\\xff"),
        ("a\\b", "a\\\\b"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\u202e", "\\u202e"),
        ("\u2028", "\\u2028"),
    ],
    ids=["text", "no UTF-8", "a backslash", "an escape", "a change of direction", "a line separator"],
)
def test_p10_a_name_is_shown_as_it_is_and_does_nothing(name: str, expected: str) -> None:
    assert shown(name) == expected


def test_p10_what_is_not_utf8_is_no_text() -> None:
    assert (is_text("ü"), is_text("\udcff")) == (True, False)


def test_the_root_is_shown_as_a_dot() -> None:
    assert (shown_path(()), shown_path(("a", "b"))) == (".", "a/b")
