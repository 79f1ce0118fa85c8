-- Lives of the store before the present one, and what a restored city learns before it goes on.

CREATE TABLE life (
    incarnation BLOB PRIMARY KEY,
    ended_at    INTEGER NOT NULL, -- when the life after it began, milliseconds since the Unix epoch
    why         TEXT NOT NULL,    -- sentence for people
    closed_at   INTEGER,          -- when a person ended the recovery behind it; NULL: not yet
    closed_by   TEXT              -- login
) WITHOUT ROWID;

-- What of each stream belongs to a life that is over: entries above were taken back.
CREATE TABLE life_end (
    incarnation BLOB NOT NULL,
    stream      INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    PRIMARY KEY (incarnation, stream)
) WITHOUT ROWID;

-- Replicas that said Hello since the recovery began.
CREATE TABLE heard (
    no INTEGER PRIMARY KEY, -- of the replica
    at INTEGER NOT NULL
);

-- The highest head of each stream that was shown with the city's own signature since.
CREATE TABLE shown (
    stream INTEGER PRIMARY KEY,
    seq    INTEGER NOT NULL,
    no     INTEGER NOT NULL, -- of the replica that showed it
    at     INTEGER NOT NULL
);

-- Entries handed back, until the signed head under which they stand is reached.
CREATE TABLE refill (
    no          INTEGER NOT NULL, -- of the replica that hands them back
    pos         INTEGER NOT NULL, -- stream * 2^40 + seq
    received_at INTEGER NOT NULL,
    verdict     BLOB NOT NULL,
    bytes       BLOB NOT NULL,
    side        BLOB,             -- 0x80 and sealed
    PRIMARY KEY (no, pos)
);
