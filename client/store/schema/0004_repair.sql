-- Streams whose rows do not come to what the city signed. A row leaves when they do again.
CREATE TABLE differs (
    stream INTEGER PRIMARY KEY,
    seq    INTEGER NOT NULL, -- of the head that first said so
    since  INTEGER NOT NULL  -- when, milliseconds since the Unix epoch
);

-- Rows that differed from the city's, and what was done. Kept for ever.
CREATE TABLE repair (
    no     INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL, -- milliseconds since the Unix epoch
    stream INTEGER NOT NULL,
    kind   INTEGER NOT NULL, -- tag
    record BLOB NOT NULL,
    seq    INTEGER NOT NULL, -- where the row differed
    how    INTEGER NOT NULL, -- 1 replaced, 2 added, 3 removed, 4 left alone: the city's is not what the log says
    told   INTEGER NOT NULL  -- 1: the city has noted it
);
CREATE INDEX repair_untold ON repair (no) WHERE told = 0;
