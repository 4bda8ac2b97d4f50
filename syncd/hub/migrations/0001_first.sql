-- The hub's first schema. Small integer keys inside, random 128-bit ids outside.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- head: the last journal entry. floor: the oldest position a cursor may stand at; 0 with a random tag at birth.
CREATE TABLE space (
    id         INTEGER PRIMARY KEY,
    space_id   BLOB NOT NULL UNIQUE,
    name       TEXT NOT NULL UNIQUE,
    created_at REAL NOT NULL,
    head       INTEGER NOT NULL,
    head_tag   TEXT NOT NULL,
    floor      INTEGER NOT NULL,
    floor_tag  TEXT NOT NULL
) STRICT;

-- Revoked devices stay: the history names them.
CREATE TABLE device (
    id         INTEGER PRIMARY KEY,
    device_id  BLOB NOT NULL UNIQUE,
    space      INTEGER NOT NULL REFERENCES space (id),
    name       TEXT NOT NULL,
    token_hash BLOB NOT NULL,
    created_at REAL NOT NULL,
    revoked_at REAL
) STRICT;
CREATE INDEX device_space ON device (space, id);

CREATE TABLE invite (
    secret_hash BLOB PRIMARY KEY,
    space       INTEGER NOT NULL REFERENCES space (id),
    expires_at  REAL NOT NULL,
    used_at     REAL
) STRICT, WITHOUT ROWID;

-- The journal. An entry is also a version: the node's whole state after it. superseded_at is when the node's next
-- entry was written, NULL while this one is current.
CREATE TABLE entry (
    space             INTEGER NOT NULL REFERENCES space (id),
    position          INTEGER NOT NULL,
    tag               TEXT NOT NULL,
    node_id           BLOB NOT NULL,
    parent_id         BLOB NOT NULL,
    name              TEXT NOT NULL,
    kind              TEXT NOT NULL,
    hash              BLOB,
    size              INTEGER NOT NULL,
    manifest          BLOB,
    executable        INTEGER NOT NULL,
    mtime_ns          INTEGER NOT NULL,
    deleted           INTEGER NOT NULL,
    key               BLOB NOT NULL,
    at                REAL NOT NULL,
    device            INTEGER NOT NULL REFERENCES device (id),
    cause             TEXT NOT NULL,
    base_position     INTEGER,
    base_tag          TEXT,
    restored_position INTEGER,
    restored_tag      TEXT,
    superseded_at     REAL,
    PRIMARY KEY (space, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX entry_node ON entry (space, node_id, position);
CREATE INDEX entry_hash ON entry (space, hash) WHERE hash IS NOT NULL AND manifest IS NULL;
CREATE INDEX entry_manifest ON entry (space, manifest) WHERE manifest IS NOT NULL;
CREATE INDEX entry_deleted ON entry (space, position) WHERE deleted = 1;
CREATE INDEX entry_superseded ON entry (space, superseded_at) WHERE superseded_at IS NOT NULL;

-- Where each node is now; its state is the entry at position. name is NULL for a tombstone, so that the index
-- holds the rule that no two living siblings share a name.
CREATE TABLE node (
    space     INTEGER NOT NULL REFERENCES space (id),
    node_id   BLOB NOT NULL,
    parent_id BLOB NOT NULL,
    name      TEXT,
    position  INTEGER NOT NULL,
    PRIMARY KEY (space, node_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX node_name ON node (space, parent_id, name) WHERE name IS NOT NULL;

-- What was done under an idempotency key, to answer the same request the same way.
CREATE TABLE request (
    space   INTEGER NOT NULL REFERENCES space (id),
    key     BLOB NOT NULL,
    digest  BLOB NOT NULL,
    outcome BLOB NOT NULL,
    at      REAL NOT NULL,
    PRIMARY KEY (space, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX request_at ON request (at);

-- Stored chunks (manifests among them) and where their bytes are. A damaged one counts as missing.
CREATE TABLE chunk (
    id        INTEGER PRIMARY KEY,
    hash      BLOB NOT NULL UNIQUE,
    size      INTEGER NOT NULL,
    container TEXT NOT NULL,
    offset    INTEGER NOT NULL,
    length    INTEGER NOT NULL,
    damaged   INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX chunk_container ON chunk (container);

-- Which space has which chunk: presence and reads are per space. Kept until lease_until, then only if referenced.
CREATE TABLE space_chunk (
    space       INTEGER NOT NULL REFERENCES space (id),
    chunk       INTEGER NOT NULL REFERENCES chunk (id),
    lease_until REAL NOT NULL,
    PRIMARY KEY (space, chunk)
) STRICT, WITHOUT ROWID;
CREATE INDEX space_chunk_chunk ON space_chunk (chunk);

CREATE TABLE manifest (
    id   INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    size INTEGER NOT NULL
) STRICT;

CREATE TABLE manifest_piece (
    manifest INTEGER NOT NULL REFERENCES manifest (id),
    hash     BLOB NOT NULL,
    size     INTEGER NOT NULL,
    PRIMARY KEY (manifest, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_piece_hash ON manifest_piece (hash);
