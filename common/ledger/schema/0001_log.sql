-- The log and what belongs to it. The projection's tables are generated from the catalogue.

-- Small named values: format, ledger id, incarnation, keys' fingerprints, counters.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB
) WITHOUT ROWID;

-- Where each stream stands.
CREATE TABLE stream (
    stream      INTEGER PRIMARY KEY, -- 1 shared, 2 city, else the site's code
    seq         INTEGER NOT NULL,    -- the last entry
    hash        BLOB NOT NULL,       -- chain hash at seq
    incarnation BLOB NOT NULL        -- of the city's store when seq was reached
);

-- Every entry. One integer keys it, so that appending is cheap and a stream lies together.
CREATE TABLE log (
    pos         INTEGER PRIMARY KEY, -- stream * 2^40 + seq
    received_at INTEGER NOT NULL,    -- city clock, milliseconds since the Unix epoch
    verdict     BLOB NOT NULL,       -- the city's
    hash        BLOB NOT NULL,       -- chain hash of this entry
    bytes       BLOB NOT NULL,       -- the author's, as they came
    side        BLOB                 -- salts and values that can vanish; 0x80 and sealed when pii
);
