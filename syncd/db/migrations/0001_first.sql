-- The first schema. Observations are kept as they were made; ops are derived from them and can be derived again (P9).
--
-- Columns of type ANY hold integers of any width: those beyond 64 bits (an inode above 2**63, a timestamp after 2262)
-- are stored as decimal text, because no value of a file system is ever trusted to be reasonable, or changed to be.

-- One row per node: a life-long identity, and what each tree last said of it. ``kind`` is one column for all trees: a
-- node's kind never changes, a change of kind is a delete and a create. There is no uniqueness on (parent, name) of any
-- tree: while the world moves, two nodes may claim one place. AUTOINCREMENT: a key is never used again, so that a late
-- observation cannot mean another node. Names are valid UTF-8; others live in held_entry only.
CREATE TABLE node (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    node_id      BLOB,
    kind         TEXT NOT NULL CHECK (kind IN ('file', 'directory', 'symlink')),
    -- S, the merge base; never unknown.
    s_presence   TEXT NOT NULL DEFAULT 'absent' CHECK (s_presence IN ('present', 'absent', 'unknown')),
    s_reason     TEXT,
    s_detail     TEXT NOT NULL DEFAULT '',
    s_parent     INTEGER,
    s_name       TEXT,
    s_hash       BLOB,
    s_executable INTEGER NOT NULL DEFAULT 0,
    s_size       INTEGER NOT NULL DEFAULT 0,
    s_mtime_ns   ANY NOT NULL DEFAULT 0,
    s_version    ANY,     -- with s_tag: the remote's version; of a tombstone when absent
    s_tag        TEXT,
    s_manifest   BLOB,
    -- R, the remote. r_gen: the full listing that last saw the row.
    r_presence   TEXT NOT NULL DEFAULT 'absent' CHECK (r_presence IN ('present', 'absent', 'unknown')),
    r_reason     TEXT,
    r_detail     TEXT NOT NULL DEFAULT '',
    r_parent     INTEGER,
    r_name       TEXT,
    r_fold       TEXT,    -- the name without case and normal form; NULL when the name is that itself
    r_hash       BLOB,
    r_executable INTEGER NOT NULL DEFAULT 0,
    r_size       INTEGER NOT NULL DEFAULT 0,
    r_mtime_ns   ANY NOT NULL DEFAULT 0,
    r_version    ANY,     -- with r_tag: the remote's version; of a tombstone when absent
    r_tag        TEXT,
    r_manifest   BLOB,
    r_gen        INTEGER NOT NULL DEFAULT 0,
    -- L, this folder. Hash and fingerprint stay when L becomes absent: that is how a rename is recognised.
    l_presence   TEXT NOT NULL DEFAULT 'absent' CHECK (l_presence IN ('present', 'absent', 'unknown')),
    l_reason     TEXT,
    l_detail     TEXT NOT NULL DEFAULT '',
    l_parent     INTEGER,
    l_name       TEXT,
    l_fold       TEXT,
    l_hash       BLOB,
    l_executable INTEGER NOT NULL DEFAULT 0,
    l_size       INTEGER NOT NULL DEFAULT 0,
    l_mtime_ns   ANY NOT NULL DEFAULT 0,
    l_hash_alg   INTEGER NOT NULL DEFAULT 0,
    l_dev        ANY,
    l_ino        ANY,
    l_fp_mtime   ANY,
    l_fp_ctime   ANY,
    l_fp_size    ANY,
    l_racy       INTEGER NOT NULL DEFAULT 0,
    -- The scan run during which L was last found changed or missing; a scan that finds nothing writes nothing.
    scan_gen     INTEGER NOT NULL DEFAULT 0,
    -- Work to be found: the trees disagree, and both R and L are known. Hashes of directories are NULL: IS NOT.
    disagrees    INTEGER NOT NULL GENERATED ALWAYS AS (
        r_presence <> 'unknown' AND l_presence <> 'unknown' AND (
            s_presence <> r_presence OR s_presence <> l_presence OR (
                s_presence = 'present' AND (
                    s_parent IS NOT r_parent OR s_parent IS NOT l_parent
                    OR s_name IS NOT r_name OR s_name IS NOT l_name
                    OR s_hash IS NOT r_hash OR s_hash IS NOT l_hash
                    OR s_executable IS NOT r_executable OR s_executable IS NOT l_executable
                )
            )
        )
    ) VIRTUAL,
    CHECK (s_presence <> 'unknown'),
    CHECK (s_presence = 'present' OR s_parent IS NULL),
    CHECK (r_presence <> 'absent' OR r_parent IS NULL),
    CHECK (l_presence <> 'absent' OR l_parent IS NULL),
    CHECK ((s_parent IS NULL) = (s_name IS NULL) AND (r_parent IS NULL) = (r_name IS NULL)
        AND (l_parent IS NULL) = (l_name IS NULL))
) STRICT;

CREATE UNIQUE INDEX node_by_node_id ON node (node_id) WHERE node_id IS NOT NULL;
CREATE INDEX node_l_place ON node (l_parent, l_name) WHERE l_parent IS NOT NULL;
CREATE INDEX node_r_place ON node (r_parent, r_name) WHERE r_parent IS NOT NULL;
CREATE INDEX node_s_place ON node (s_parent, s_name) WHERE s_parent IS NOT NULL;
CREATE INDEX node_l_fold ON node (l_parent, l_fold) WHERE l_fold IS NOT NULL;
CREATE INDEX node_r_fold ON node (r_parent, r_fold) WHERE r_fold IS NOT NULL;
CREATE INDEX node_l_ino ON node (l_ino, l_dev) WHERE l_ino IS NOT NULL;
CREATE INDEX node_vanished ON node (l_hash) WHERE l_presence = 'absent' AND l_hash IS NOT NULL;
CREATE INDEX node_listed ON node (r_gen) WHERE r_presence <> 'absent';
CREATE INDEX node_l_unknown ON node (l_reason) WHERE l_presence = 'unknown';
CREATE INDEX node_r_unknown ON node (r_reason) WHERE r_presence = 'unknown';
-- Holds only rows that need work, so that finding work costs what changed, whatever the size of the root.
CREATE INDEX node_disagreeing ON node (disagrees) WHERE disagrees = 1;

-- The root: in every tree, never moved, never counted. Its parent is no node.
INSERT INTO node (id, node_id, kind, s_presence, s_parent, s_name, r_presence, r_parent, r_name,
                  l_presence, l_parent, l_name)
VALUES (1, zeroblob(16), 'directory', 'present', 0, '', 'present', 0, '', 'present', 0, '');

-- How many nodes each tree has, kept true by triggers: counting a million rows every few seconds is no option.
CREATE TABLE tree_count (
    tree    TEXT NOT NULL,
    kind    TEXT NOT NULL,
    present INTEGER NOT NULL DEFAULT 0,
    unknown INTEGER NOT NULL DEFAULT 0,
    bytes   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (tree, kind)
) STRICT, WITHOUT ROWID;
INSERT INTO tree_count (tree, kind) VALUES
    ('s', 'file'), ('s', 'directory'), ('s', 'symlink'), ('r', 'file'), ('r', 'directory'), ('r', 'symlink'),
    ('l', 'file'), ('l', 'directory'), ('l', 'symlink');

CREATE TABLE counter (
    name  TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counter (name, value) VALUES ('listing', 0), ('scan', 0), ('chunks', 0);

CREATE TRIGGER count_s_insert AFTER INSERT ON node WHEN new.s_presence <> 'absent'
BEGIN
    UPDATE tree_count SET present = present + (new.s_presence = 'present'),
        unknown = unknown + (new.s_presence = 'unknown'),
        bytes = bytes + iif(new.s_presence = 'present', new.s_size, 0)
    WHERE tree = 's' AND kind = new.kind;
END;
CREATE TRIGGER count_s_update AFTER UPDATE OF s_presence, s_size ON node
WHEN old.id <> 1 AND (old.s_presence <> new.s_presence OR old.s_size <> new.s_size)
BEGIN
    UPDATE tree_count SET present = present + (new.s_presence = 'present') - (old.s_presence = 'present'),
        unknown = unknown + (new.s_presence = 'unknown') - (old.s_presence = 'unknown'),
        bytes = bytes + iif(new.s_presence = 'present', new.s_size, 0)
            - iif(old.s_presence = 'present', old.s_size, 0)
    WHERE tree = 's' AND kind = new.kind;
END;
CREATE TRIGGER count_s_delete AFTER DELETE ON node WHEN old.s_presence <> 'absent'
BEGIN
    UPDATE tree_count SET present = present - (old.s_presence = 'present'),
        unknown = unknown - (old.s_presence = 'unknown'),
        bytes = bytes - iif(old.s_presence = 'present', old.s_size, 0)
    WHERE tree = 's' AND kind = old.kind;
END;
CREATE TRIGGER count_r_insert AFTER INSERT ON node WHEN new.r_presence <> 'absent'
BEGIN
    UPDATE tree_count SET present = present + (new.r_presence = 'present'),
        unknown = unknown + (new.r_presence = 'unknown'),
        bytes = bytes + iif(new.r_presence = 'present', new.r_size, 0)
    WHERE tree = 'r' AND kind = new.kind;
END;
CREATE TRIGGER count_r_update AFTER UPDATE OF r_presence, r_size ON node
WHEN old.id <> 1 AND (old.r_presence <> new.r_presence OR old.r_size <> new.r_size)
BEGIN
    UPDATE tree_count SET present = present + (new.r_presence = 'present') - (old.r_presence = 'present'),
        unknown = unknown + (new.r_presence = 'unknown') - (old.r_presence = 'unknown'),
        bytes = bytes + iif(new.r_presence = 'present', new.r_size, 0)
            - iif(old.r_presence = 'present', old.r_size, 0)
    WHERE tree = 'r' AND kind = new.kind;
END;
CREATE TRIGGER count_r_delete AFTER DELETE ON node WHEN old.r_presence <> 'absent'
BEGIN
    UPDATE tree_count SET present = present - (old.r_presence = 'present'),
        unknown = unknown - (old.r_presence = 'unknown'),
        bytes = bytes - iif(old.r_presence = 'present', old.r_size, 0)
    WHERE tree = 'r' AND kind = old.kind;
END;
CREATE TRIGGER count_l_insert AFTER INSERT ON node WHEN new.l_presence <> 'absent'
BEGIN
    UPDATE tree_count SET present = present + (new.l_presence = 'present'),
        unknown = unknown + (new.l_presence = 'unknown'),
        bytes = bytes + iif(new.l_presence = 'present', new.l_size, 0)
    WHERE tree = 'l' AND kind = new.kind;
END;
CREATE TRIGGER count_l_update AFTER UPDATE OF l_presence, l_size ON node
WHEN old.id <> 1 AND (old.l_presence <> new.l_presence OR old.l_size <> new.l_size)
BEGIN
    UPDATE tree_count SET present = present + (new.l_presence = 'present') - (old.l_presence = 'present'),
        unknown = unknown + (new.l_presence = 'unknown') - (old.l_presence = 'unknown'),
        bytes = bytes + iif(new.l_presence = 'present', new.l_size, 0)
            - iif(old.l_presence = 'present', old.l_size, 0)
    WHERE tree = 'l' AND kind = new.kind;
END;
CREATE TRIGGER count_l_delete AFTER DELETE ON node WHEN old.l_presence <> 'absent'
BEGIN
    UPDATE tree_count SET present = present - (old.l_presence = 'present'),
        unknown = unknown - (old.l_presence = 'unknown'),
        bytes = bytes - iif(old.l_presence = 'present', old.l_size, 0)
    WHERE tree = 'l' AND kind = old.kind;
END;

-- A node's kind never changes, but for a row known only as somebody's parent at the remote: then it is first learnt.
CREATE TRIGGER kind_is_for_life BEFORE UPDATE OF kind ON node
WHEN old.kind <> new.kind
    AND (old.s_presence <> 'absent' OR old.l_presence <> 'absent' OR old.r_presence <> 'unknown')
BEGIN
    SELECT RAISE(ABORT, 'a node''s kind never changes');
END;
CREATE TRIGGER count_kind_learnt AFTER UPDATE OF kind ON node WHEN old.kind <> new.kind
BEGIN
    UPDATE tree_count SET unknown = unknown - 1 WHERE tree = 'r' AND kind = old.kind;
    UPDATE tree_count SET unknown = unknown + 1 WHERE tree = 'r' AND kind = new.kind;
END;

-- Directories a tree no longer has, with rows still placed in them: where to look for orphans, without a full scan.
CREATE TABLE gone_directory (
    tree TEXT NOT NULL,
    id   INTEGER NOT NULL,
    PRIMARY KEY (tree, id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER gone_r_update AFTER UPDATE OF r_presence ON node
WHEN new.kind = 'directory' AND new.r_presence = 'absent' AND old.r_presence <> 'absent'
BEGIN
    INSERT OR IGNORE INTO gone_directory (tree, id) VALUES ('r', new.id);
END;
CREATE TRIGGER gone_r_delete AFTER DELETE ON node WHEN old.kind = 'directory'
BEGIN
    INSERT OR IGNORE INTO gone_directory (tree, id)
        SELECT 'r', old.id WHERE EXISTS (SELECT 1 FROM node WHERE r_parent = old.id);
END;
CREATE TRIGGER gone_r_child_insert AFTER INSERT ON node
WHEN new.r_parent IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM node WHERE id = new.r_parent AND r_presence <> 'absent')
BEGIN
    INSERT OR IGNORE INTO gone_directory (tree, id) VALUES ('r', new.r_parent);
END;
CREATE TRIGGER gone_r_child_update AFTER UPDATE OF r_parent ON node
WHEN new.r_parent IS NOT NULL AND new.r_parent IS NOT old.r_parent AND new.id <> 1
    AND NOT EXISTS (SELECT 1 FROM node WHERE id = new.r_parent AND r_presence <> 'absent')
BEGIN
    INSERT OR IGNORE INTO gone_directory (tree, id) VALUES ('r', new.r_parent);
END;
CREATE TRIGGER gone_l_update AFTER UPDATE OF l_presence ON node
WHEN new.kind = 'directory' AND new.l_presence = 'absent' AND old.l_presence <> 'absent'
BEGIN
    INSERT OR IGNORE INTO gone_directory (tree, id) VALUES ('l', new.id);
END;
CREATE TRIGGER gone_l_delete AFTER DELETE ON node WHEN old.kind = 'directory'
BEGIN
    INSERT OR IGNORE INTO gone_directory (tree, id)
        SELECT 'l', old.id WHERE EXISTS (SELECT 1 FROM node WHERE l_parent = old.id);
END;
CREATE TRIGGER gone_l_child_insert AFTER INSERT ON node
WHEN new.l_parent IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM node WHERE id = new.l_parent AND l_presence <> 'absent')
BEGIN
    INSERT OR IGNORE INTO gone_directory (tree, id) VALUES ('l', new.l_parent);
END;
CREATE TRIGGER gone_l_child_update AFTER UPDATE OF l_parent ON node
WHEN new.l_parent IS NOT NULL AND new.l_parent IS NOT old.l_parent AND new.id <> 1
    AND NOT EXISTS (SELECT 1 FROM node WHERE id = new.l_parent AND l_presence <> 'absent')
BEGIN
    INSERT OR IGNORE INTO gone_directory (tree, id) VALUES ('l', new.l_parent);
END;

-- Versions of a node that this device has seen and gone beyond; asked for after the remote's history changed.
CREATE TABLE past_version (
    node     INTEGER NOT NULL REFERENCES node (id) ON DELETE CASCADE,
    position ANY NOT NULL,
    tag      TEXT NOT NULL,
    PRIMARY KEY (node, position, tag)
) STRICT, WITHOUT ROWID;

-- The queue. ``op`` is the whole op with what it expects to find (fingerprint, base version, target hash, waits): an
-- executor never rereads the node. The other columns are what queries need. ``key`` is the idempotency key, stored
-- before it is sent. AUTOINCREMENT: a late result never meets another op. Rows 'done' ended without known effect and
-- stay for their key's sake.
CREATE TABLE queue_op (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    node           INTEGER NOT NULL,
    op_type        TEXT NOT NULL,
    side           TEXT NOT NULL CHECK (side IN ('local', 'remote')),
    state          TEXT NOT NULL CHECK (state IN ('ready', 'running', 'blocked', 'failed', 'done')),
    priority       INTEGER NOT NULL,
    attempts       INTEGER NOT NULL DEFAULT 0,
    next_retry_at  REAL NOT NULL DEFAULT 0, -- 0: at once
    last_error     TEXT NOT NULL DEFAULT '',
    error_class    TEXT NOT NULL DEFAULT '',
    key            BLOB NOT NULL UNIQUE,
    destructive    INTEGER NOT NULL DEFAULT 0,
    bytes_at_stake INTEGER NOT NULL DEFAULT 0,
    created        REAL NOT NULL,
    ended          REAL,
    op             TEXT NOT NULL,
    run_dirs       BLOB NOT NULL DEFAULT x''
) STRICT;
CREATE UNIQUE INDEX queue_op_live ON queue_op (node) WHERE state <> 'done';
CREATE INDEX queue_op_ready ON queue_op (side, priority, id, next_retry_at) WHERE state = 'ready';
CREATE INDEX queue_op_due ON queue_op (next_retry_at) WHERE state = 'ready';
CREATE INDEX queue_op_state ON queue_op (state);
CREATE INDEX queue_op_destructive ON queue_op (side) WHERE destructive = 1 AND state <> 'done';

CREATE TABLE op_wait (
    op   INTEGER NOT NULL REFERENCES queue_op (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    node INTEGER NOT NULL,
    PRIMARY KEY (op, kind, node)
) STRICT, WITHOUT ROWID;
CREATE INDEX op_wait_node ON op_wait (node);

-- Where pieces of content lie in local files: a hint, verified by hash whenever it is used.
CREATE TABLE chunk_cache (
    hash   BLOB NOT NULL,
    node   INTEGER NOT NULL REFERENCES node (id) ON DELETE CASCADE,
    offset INTEGER NOT NULL,
    size   INTEGER NOT NULL,
    used   REAL NOT NULL,
    PRIMARY KEY (hash, node, offset)
) STRICT, WITHOUT ROWID;
CREATE INDEX chunk_cache_node ON chunk_cache (node);
CREATE INDEX chunk_cache_used ON chunk_cache (used);
CREATE TRIGGER chunk_counted AFTER INSERT ON chunk_cache
BEGIN UPDATE counter SET value = value + 1 WHERE name = 'chunks'; END;
CREATE TRIGGER chunk_discounted AFTER DELETE ON chunk_cache
BEGIN UPDATE counter SET value = value - 1 WHERE name = 'chunks'; END;

CREATE TABLE conflict (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    node         INTEGER NOT NULL,
    kind         TEXT NOT NULL,
    path         TEXT NOT NULL,
    copy_path    TEXT NOT NULL DEFAULT '',
    created      REAL NOT NULL,
    resolution   TEXT,
    resolved     REAL,
    acknowledged REAL
) STRICT;
CREATE INDEX conflict_open ON conflict (id) WHERE resolved IS NULL;
CREATE INDEX conflict_node ON conflict (node);

CREATE TABLE decision_group (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    kind      TEXT NOT NULL,
    side      TEXT NOT NULL,
    reason    TEXT NOT NULL,
    created   REAL NOT NULL,
    undone_by INTEGER REFERENCES decision_group (id)
) STRICT;

CREATE TABLE decision_item (
    group_id INTEGER NOT NULL REFERENCES decision_group (id) ON DELETE CASCADE,
    node     INTEGER NOT NULL,
    path     TEXT NOT NULL DEFAULT '',
    what     TEXT NOT NULL DEFAULT '',
    bytes    INTEGER NOT NULL DEFAULT 0,
    decision TEXT NOT NULL DEFAULT 'undecided',
    decided  REAL,
    PRIMARY KEY (group_id, node)
) STRICT, WITHOUT ROWID;
CREATE INDEX decision_item_node ON decision_item (node);
CREATE INDEX decision_item_undecided ON decision_item (group_id) WHERE decision = 'undecided';

-- What a person asked for, written before it acts.
CREATE TABLE command (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    verb      TEXT NOT NULL,
    arguments TEXT NOT NULL,
    state     TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'failed')),
    created   REAL NOT NULL,
    finished  REAL,
    result    TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX command_pending ON command (id) WHERE state = 'pending';

CREATE TABLE scan_run (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       TEXT NOT NULL CHECK (kind IN ('quick', 'deep', 'subtree')),
    parameters TEXT NOT NULL, -- frozen at the start
    status     TEXT NOT NULL CHECK (status IN ('running', 'completed', 'cancelled', 'failed')),
    started    REAL NOT NULL,
    finished   REAL,
    processed  INTEGER NOT NULL DEFAULT 0,
    errors     INTEGER NOT NULL DEFAULT 0,
    cursor     TEXT NOT NULL DEFAULT '' -- where an interrupted run goes on
) STRICT;

CREATE TABLE activity (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at          REAL NOT NULL,
    node        INTEGER,
    path        TEXT NOT NULL,
    what        TEXT NOT NULL,
    why         TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    side        TEXT NOT NULL DEFAULT '',
    bytes       INTEGER NOT NULL DEFAULT 0,
    destructive INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX activity_at ON activity (at);
CREATE INDEX activity_path ON activity (path);
CREATE INDEX activity_destructive ON activity (side, at) WHERE destructive = 1;

CREATE TABLE meta (
    key   TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Local names that can never be a node: not UTF-8, too long, FIFOs, sockets, devices. ``name`` is escaped text.
CREATE TABLE held_entry (
    id     INTEGER PRIMARY KEY,
    parent INTEGER NOT NULL,
    name   TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX held_entry_parent ON held_entry (parent);
