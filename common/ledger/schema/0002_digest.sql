-- What a kind's rows in a stream come to, as the stream has them (pending changes do not count). Moves with
-- every row, in the same transaction; can be counted anew from the rows.
CREATE TABLE digest (
    stream INTEGER NOT NULL,
    kind   INTEGER NOT NULL, -- tag
    count  INTEGER NOT NULL, -- rows
    sum    BLOB NOT NULL,    -- of their digests, modulo 2^128, big-endian
    PRIMARY KEY (stream, kind)
) WITHOUT ROWID;
