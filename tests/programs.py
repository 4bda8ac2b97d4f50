"""Programs that have a SQLite database open, as processes of their own.

POSIX locks belong to a process: a test that opened the database itself would drop its own locks with every file it
reads, and would prove nothing.
"""

import subprocess
import sys
from pathlib import Path

SIDECARS = ("-wal", "-shm", "-journal")

# One line in, one line out: "write N" commits N times two rows; "loop" commits until the next line; "begin" leaves a
# transaction open whose pages are partly in the file; "set" runs a statement; "close".
PROGRAM = """
import os, select, sqlite3, sys, time
path, mode, blob, wait = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
database = sqlite3.connect(path, timeout=5, isolation_level=None)
database.execute(f"PRAGMA journal_mode = {mode}")
database.execute("PRAGMA cache_size = 2")  # so that pages are written before they are committed
database.execute("CREATE TABLE IF NOT EXISTS row (id INTEGER PRIMARY KEY, data BLOB)")
def write():
    database.execute("BEGIN")
    database.execute("INSERT INTO row (data) VALUES (?)", (os.urandom(blob),))
    time.sleep(wait)
    database.execute("INSERT INTO row (data) VALUES (?)", (os.urandom(blob),))
    database.execute("COMMIT")
def say():
    print(database.execute("SELECT count(*) FROM row").fetchone()[0], flush=True)
say()
for line in sys.stdin:
    word, _, number = line.strip().partition(" ")
    if word == "write":
        for _ in range(int(number)):
            write()
    elif word == "loop":
        while not select.select([sys.stdin], [], [], wait)[0]:
            write()
    elif word == "begin":
        database.execute("BEGIN IMMEDIATE")
        for _ in range(40):
            database.execute("INSERT INTO row (data) VALUES (?)", (os.urandom(4000),))
    elif word == "set":
        database.execute(number).fetchall()
    elif word == "close":
        database.close()
        break
    say()
"""


class Program:
    """An application of a person: has a database open, and fails at the first error SQLite tells it."""

    def __init__(self, path: Path, mode: str, blob: int = 200, wait: float = 0.01) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(path), mode, str(blob), str(wait)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._answer()

    def write(self, commits: int) -> int:
        """Commit; returns how many rows there are."""
        self._say(f"write {commits}")
        return self._answer()

    def loop(self) -> None:
        """Go on committing until ``rest``."""
        self._say("loop")

    def rest(self) -> int:
        self._say("rest")
        self._answer()
        return self._answer()

    def begin(self) -> None:
        """Write without committing, until ``run("COMMIT")``, ``run("ROLLBACK")`` or the end."""
        self._say("begin")
        self._answer()

    def run(self, statement: str) -> int:
        """Run a statement; returns how many rows there are."""
        self._say(f"set {statement}")
        return self._answer()

    def close(self) -> None:
        """Close the database; any error there ever was fails here."""
        self._say("close")
        _, err = self._popen.communicate(timeout=30)
        assert self._popen.returncode == 0, err

    def kill(self) -> None:
        """End it at whatever it is doing."""
        self._popen.kill()
        self._popen.communicate()

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def _say(self, line: str) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.write(line + "\n")
        self._popen.stdin.flush()

    def _answer(self) -> int:
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        if not line:
            _, err = self._popen.communicate(timeout=30)
            raise AssertionError(f"the program got an error: {err}")
        return int(line)
