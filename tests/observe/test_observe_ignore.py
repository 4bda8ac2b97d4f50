"""Which names are ignored: the defaults, a person's patterns, and what no pattern can change."""

import fnmatch
import random
import subprocess
import sys
import time

import pytest

from syncd.observe.ignore import NOTHING_KNOWN, Rules, is_litter


def path(text):
    return tuple(text.split("/"))


@pytest.mark.parametrize(
    ("text", "name", "directory", "expected"),
    [
        pytest.param("", "report.odt", False, False, id="a file is synced"),
        pytest.param("", "report.odt~", False, True, id="an editor's backup is not"),
        pytest.param("", "deep/er/.report.swp", False, True, id="nor vim's swap file, at any depth"),
        pytest.param("", ".#report", False, True, id="nor an emacs lock"),
        pytest.param("", "#report#", False, True, id="nor emacs' auto-save"),
        pytest.param("", "# heading", False, False, id="but a name that begins with a hash is"),
        pytest.param("", "~$report.docx", False, True, id="nor Word's owner file"),
        pytest.param("", ".~lock.report.odt#", False, True, id="nor LibreOffice's lock"),
        pytest.param("", "film.mkv.part", False, True, id="nor an unfinished download"),
        pytest.param("", "iso.crdownload", False, True, id="nor Chrome's"),
        pytest.param("", "page.download", True, True, id="nor Safari's bundle"),
        pytest.param("", "page.download", False, False, id="but a file of that name is"),
        pytest.param("", "notes.tmp", False, False, id="a file called .tmp may be a person's"),
        pytest.param("", ".nfs000000000012ab4500000001", False, True, id="NFS leftovers are not"),
        pytest.param("", ".nfsrc", False, False, id="but .nfsrc is a person's"),
        pytest.param("", "a/.DS_Store", False, True, id="OS litter is not"),
        pytest.param("", "Icon\r", False, True, id="nor the icon of a macOS folder"),
        pytest.param("", "Icon", False, False, id="but a file called Icon is"),
        pytest.param("", "lost+found", True, True, id="lost+found at the top is not"),
        pytest.param("", "photos/lost+found", True, False, id="but elsewhere it is a person's"),
        pytest.param("", ".syncignore", False, False, id="the rules themselves are synced"),
        pytest.param("!*.part\n", "film.part", False, False, id="a pattern brings a default back"),
        pytest.param("*.o\n", "src/main.o", False, True, id="a pattern without a slash holds everywhere"),
        pytest.param("/build\n", "build", True, True, id="a leading slash anchors"),
        pytest.param("/build\n", "src/build", True, False, id="and holds nowhere else"),
        pytest.param("build/\n", "build", False, False, id="a trailing slash means directories only"),
        pytest.param("build/\n", "src/build", True, True, id="at every level"),
        pytest.param("build/\n", "src/build/x/y.c", False, True, id="an ignored ancestor ignores all below"),
        pytest.param("build/\n!y.c\n", "build/y.c", False, True, id="which no pattern undoes"),
        pytest.param("*\n!*/\n!*.txt\n", "a/b.txt", False, False, id="all but text files: a text file"),
        pytest.param("*\n!*/\n!*.txt\n", "a/b.jpg", False, True, id="all but text files: a picture"),
        pytest.param("doc/*.pdf\n", "doc/a.pdf", False, True, id="a slash in the middle anchors"),
        pytest.param("doc/*.pdf\n", "doc/sub/a.pdf", False, False, id="and a star does not cross directories"),
        pytest.param("doc/**/a.pdf\n", "doc/x/y/a.pdf", False, True, id="two stars do"),
        pytest.param("**/cache\n", "x/cache", True, True, id="leading stars hold everywhere"),
        pytest.param("**/x/y\n", "a/b/x/y", False, True, id="also before several names"),
        pytest.param("**/x/y\n", "x/y", False, True, id="and at the top"),
        pytest.param("**/x/y\n", "x/z/y", False, False, id="but the names stay together"),
        pytest.param("a**b\n", "d/axxb", False, True, id="two stars inside a name are one"),
        pytest.param("logs/**\n", "logs/a", False, True, id="trailing stars: all inside"),
        pytest.param("logs/**\n", "logs", True, False, id="but not the directory"),
        pytest.param("*foo*\n", "a/xfoox", False, True, id="stars on both ends"),
        pytest.param("[ab].txt\n", "a.txt", False, True, id="a range of letters"),
        pytest.param("\\!wow\n", "!wow", False, True, id="an escaped exclamation mark is a letter"),
        pytest.param("\\#tag\n", "#tag", False, True, id="and so is an escaped hash"),
        pytest.param("a.txt\r\nb.txt\r\n", "a.txt", False, True, id="lines may end as on Windows"),
        pytest.param("\ufeffa.txt\n", "a.txt", False, True, id="a byte order mark is no letter"),
        pytest.param("*.o\n!keep.o\n*.o\n", "keep.o", False, True, id="the last matching line decides"),
        pytest.param("gr\u00fc\u00df*\n", "gr\u00fc\u00dfe.txt", False, True, id="letters beyond ASCII"),
        pytest.param("*.bin\n", "\udcff.bin", False, True, id="names that are not UTF-8 are matched too"),
    ],
)
def test_ignored(text, name, directory, expected):
    assert Rules.parse(text).ignored(path(name), directory) is expected


@pytest.mark.parametrize("name", [".syncd", "a/b/.syncd", ".SYNCD", "a/.Syncd", ".syncd.", ".s\u200cyncd", "．syncd"])
@pytest.mark.parametrize("text", ["", "!.syncd\n!.syncd/\n!*\n!/.syncd/\n"])
def test_p10_reserved_names_are_ignored_whatever_a_pattern_says(name, text):
    assert Rules.parse(text).ignored(path(name), True)
    assert Rules.parse(text).ignored((*path(name), "trash"), True)


def test_the_root_itself_is_never_ignored():
    assert not Rules.parse("*\n/\n").ignored((), True)


def test_a_line_that_does_not_parse_is_reported_and_the_rest_applies():
    rules = Rules.parse("*.o\n[z-a].x\n\n# fine\n" + "x" * 5000 + "\n*.c\n!\n")
    assert [fault.line for fault in rules.faults] == [2, 5, 7]
    assert rules.ignored(("a.o",), False)
    assert rules.ignored(("a.c",), False)


def test_rules_that_cannot_be_read_ignore_everything():
    rules = Rules.parse(NOTHING_KNOWN)
    assert all(rules.ignored(path(name), False) for name in ("a", "a/b.txt", ".syncignore", "ü"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [(".DS_Store", True), ("._photo.jpg", True), ("desktop.ini", True), ("report~", False), ("film.part", False)],
)
def test_litter_is_what_no_person_made(name, expected):
    assert is_litter(name) is expected


def test_litter_is_ignored_by_default():
    names = (".DS_Store", ".localized", "Icon\r", "Thumbs.db", "ehthumbs.db", "Desktop.ini", "desktop.ini", "._x")
    assert all(is_litter(name) and Rules.parse("").ignored(("d", name), False) for name in names)


def test_the_letters_told_in_advance_agree_with_the_full_answer():
    """What the look relies on to leave names out of ``ignored``."""
    rules = Rules.parse("*.o\n/top*\nsub/*.pdf\n!*.keep\n?x\n")
    names = ["a.o", "top1", "b.pdf", "~", "zx", "x~", "#a#", ".git", "plain", "k.keep", "a.part", "[", "$RECYCLE.BIN"]
    for directory in ((), ("sub",), ("sub", "deep")):
        sieve = rules.within(directory)
        for name in names:
            told = not sieve.thorough and name[0] not in sieve.first and name[-1] not in sieve.last and name.isascii()
            assert not (told and sieve.ignored(name, False)), name


@pytest.mark.parametrize(
    "line",
    ["*a" * 40 + "c*b", "/" + "*a" * 40 + "c*b", "x/" + "*a" * 40 + "c*b", "**/" + "*a" * 40 + "c*b", "*" * 99 + "c*b"],
)
def test_no_pattern_takes_forever(line):
    """``.syncignore`` is synced: it comes from whoever shares the space."""
    rules = Rules.parse(line + "\n")
    assert rules.faults == ()
    name = "a" * 250 + "b"
    start = time.thread_time()
    for place in ((name,), ("x", name), ("x", "y", name)):
        assert not rules.ignored(place, False)
    assert time.thread_time() - start < 1.0


def test_a_pattern_that_could_take_forever_is_a_fault():
    assert [fault.line for fault in Rules.parse("fine/**/*.x\na/**/*b*c*d*e\n**/a/**/b/**/c/**/d\n").faults] == [2, 3]


def test_stars_without_backtracking_match_what_stars_match():
    chance = random.Random(7)
    for _ in range(3000):
        line = "".join(chance.choice("ab*?") for _ in range(chance.randint(1, 8))) or "a"
        name = "".join(chance.choice("ab") for _ in range(chance.randint(1, 9)))
        rules = Rules.parse(chance.choice(["", "/"]) + line + "\n")
        expected = fnmatch.fnmatchcase(name, line)
        assert rules.ignored((name,), False) is expected, (line, name)


def test_a_hundred_thousand_names_take_moments():
    rules = Rules.parse("*.o\nbuild/\n/dist\ndoc/*.pdf\n*.pyc\n")
    start = time.thread_time()
    for directory in range(100):
        for number in range(1000):
            rules.ignored((f"folder {directory}", f"file {number}.txt"), False)
    assert time.thread_time() - start < 2.0  # 0.2 s when measured; a scan of them takes longer anyway


@pytest.mark.parametrize("line", ["[[a]", "*[[a]*b", "[a--b]", "[a&&b]", "[a||b]", "[a~~b]"])
def test_brackets_within_brackets_are_no_news_for_the_log(line):
    code = f"from syncd.observe.ignore import Rules; Rules.parse({line!r})"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout + ended.stderr == ""
