"""Bugs planted into the database (``syncd/db``)."""

from typing import Final

from tests.planted.bug import Bug

CONNECTION: Final = ("tests/db/test_db_connection.py",)
QUEUE: Final = ("tests/db/test_db_queue.py",)
NODES: Final = ("tests/db/test_db_nodes.py",)
STRUCTURE: Final = ("tests/db/test_db_structure.py",)
RECORDS: Final = ("tests/db/test_db_records.py",)

BUGS: Final = (
    Bug(
        "a newer schema is accepted",
        "A database of a newer syncd is opened all the same.",
        "P9",
        "syncd/db/schema.py",
        "    if version > newest:",
        "    if version < 0:",
        CONNECTION,
    ),
    Bug(
        "busy is taken for damage",
        "A database that another process has locked is set aside and rebuilt.",
        "P9",
        "syncd/db/connection.py",
        "            except (apsw.CorruptError, apsw.NotADBError):\n                aside",
        "            except (apsw.CorruptError, apsw.NotADBError, apsw.BusyError):\n                aside",
        CONNECTION,
    ),
    Bug(
        "a damaged database is deleted",
        "What is damaged is removed, to begin anew.",
        "P9",
        "syncd/db/connection.py",
        "            os.rename(path + suffix, target + suffix)",
        "            os.unlink(path + suffix)",
        CONNECTION,
    ),
    Bug(
        "durable is not durable",
        "The pragma is set after the commit that needs it.",
        "P4",
        "syncd/db/connection.py",
        '                execute("PRAGMA synchronous = FULL")',
        '                execute("PRAGMA synchronous = NORMAL")',
        CONNECTION,
    ),
    Bug(
        "a migration keeps no copy",
        "The schema is changed in place.",
        "P9",
        "syncd/db/schema.py",
        '        keep_copy(connection, f"{path}.schema-{version}")',
        "        pass",
        CONNECTION,
    ),
    Bug(
        "planning again forgets the attempts",
        "An equal op replaces the one in the queue, with a new key and no attempts.",
        "P3",
        "syncd/db/queue.py",
        "            if live.op == op:",
        "            if False:",
        QUEUE,
    ),
    Bug(
        "a superseded op's key is forgotten",
        "An op that was sent before is dropped like any other when the plan changes.",
        "P4",
        "syncd/db/queue.py",
        '        self._abandon_sent("node = ?", (node,))\n',
        "",
        ("tests/engine/test_engine_lost_replies.py", "-k", "lost_reply_makes_no_conflict and again"),
    ),
    Bug(
        "a running op is superseded",
        "The queue drops an op although it is at work.",
        "P4",
        "syncd/db/queue.py",
        'f"DELETE FROM queue_op WHERE node = ? AND {_WAITING}", (node,)',
        "\"DELETE FROM queue_op WHERE node = ? AND state <> 'done'\", (node,)",
        QUEUE,
    ),
    Bug(
        "attempts are not counted",
        "A retry is stored without one attempt more.",
        "P2",
        "syncd/db/queue.py",
        "state = 'ready', attempts = attempts + 1, next_retry_at",
        "state = 'ready', next_retry_at",
        (*QUEUE, *CONNECTION),
    ),
    Bug(
        "a vanished file is forgotten at once",
        "A node that L no longer has loses its fingerprint.",
        "P2",
        "syncd/db/nodes.py",
        "        elif fingerprint is not None:\n            values = (*_state(state)[:5]",
        "        elif True:\n            values = (*_state(state)[:5]",
        NODES,
    ),
    Bug(
        "an unknown node is listed as known",
        "The fast path trusts the last fingerprint of a file that could not be read since.",
        "P1",
        "syncd/db/nodes.py",
        '    if presence == "present" and ino is not None:',
        "    if ino is not None:",
        NODES,
    ),
    Bug(
        "a row seen during a listing is unlisted",
        "Only what the listing's pages name counts as listed, not what came in meanwhile.",
        "P7",
        "syncd/db/nodes.py",
        '_SET_REMOTE: Final = _set_sql(_columns(Tree.REMOTE), f", r_gen = {_LISTING}")',
        "_SET_REMOTE: Final = _set_sql(_columns(Tree.REMOTE))",
        (*STRUCTURE, *NODES),
    ),
    Bug(
        "orphans end with the first level",
        "What lost its folder is found once, not level by level.",
        "P2",
        "syncd/db/structure.py",
        '        if not found:\n            self._execute("DELETE FROM gone_directory',
        '        if True:\n            self._execute("DELETE FROM gone_directory',
        STRUCTURE,
    ),
    Bug(
        "both sides' deletes are added up",
        "What was deleted here counts for the remote's mark, too.",
        "P8",
        "syncd/db/activity.py",
        "WHERE destructive = 1 AND side = ? AND at >= ?",
        "WHERE destructive = 1 AND ? <> '' AND at >= ?",
        RECORDS,
    ),
    Bug(
        "a decision is decided again",
        "A later word of the group changes what items had taken on before.",
        "P8",
        "syncd/db/decisions.py",
        "            \" WHERE group_id = ? AND node = ? AND decision = 'undecided'\",\n            [(word",
        '            " WHERE group_id = ? AND node = ?",\n            [(word',
        ("tests/db/test_db_words.py",),
    ),
)
