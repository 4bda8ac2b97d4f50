-- Which line of history wrote the entries from a position on: one row for each time a hub was opened and wrote
-- something. A hub that goes back to a backup begins another line, and the marks in the tags of what it lost are in no
-- row of it; so a cursor is known for what it is also where its entry is not kept any more.
CREATE TABLE line (
    space INTEGER NOT NULL REFERENCES space (id),
    since INTEGER NOT NULL,
    mark  TEXT NOT NULL,
    PRIMARY KEY (space, since)
) STRICT, WITHOUT ROWID;
