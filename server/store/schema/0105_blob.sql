-- Who has shown that he has which bytes: without a row here a hash gives nothing, however often the bytes
-- lie in the folder beside. One row a stream and hash; `city` (2) holds what the city attached.
CREATE TABLE blob (
    stream INTEGER NOT NULL, -- the site's, or 2
    hash   TEXT NOT NULL,    -- SHA-256, lower-case hex as in the attachment's record
    size   INTEGER NOT NULL, -- bytes
    state  INTEGER NOT NULL, -- 1 coming, 2 verified, 3 lost: the computer that had it says so
    at     INTEGER NOT NULL, -- when it came into this state, milliseconds since the Unix epoch
    PRIMARY KEY (stream, hash)
) WITHOUT ROWID;
