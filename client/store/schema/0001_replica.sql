-- What a county's replica keeps beside the streams: who it is, its own changes, what the city refused.

-- Who this replica is, and how far its own changes go. One row.
CREATE TABLE own (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    hash    INTEGER NOT NULL, -- the ledger's hash function: 1 SM3, 2 SHA-256
    ledger  BLOB NOT NULL,    -- id of the ledger, made at the city's init
    replica BLOB NOT NULL,    -- id of this replica
    clerk   BLOB NOT NULL,    -- id of the site's first account, which its stream brings
    site    INTEGER NOT NULL, -- code of the office, and its stream
    k       INTEGER NOT NULL, -- the site's k-th replica: letter of the serial numbers
    n       INTEGER NOT NULL, -- changes made so far
    chain   BLOB NOT NULL     -- chain of the own changes at n
);

-- Own changes that have no place in a stream yet. A row leaves by its echo or its refusal, by nothing else.
CREATE TABLE pending (
    n         INTEGER PRIMARY KEY, -- number of the change
    first_n   INTEGER NOT NULL,    -- number of the first change of its act
    act_len   INTEGER NOT NULL,    -- changes of the act
    act_bytes INTEGER NOT NULL,    -- bytes and sidecars of the act as they travel
    record    BLOB NOT NULL,       -- the record it edits
    kind      INTEGER NOT NULL,    -- tag of its kind
    bytes     BLOB NOT NULL,       -- the author's
    side      BLOB,                -- salts and values that can vanish; 0x80 and sealed when pii
    hash      BLOB NOT NULL,       -- H(bytes)
    before    BLOB NOT NULL        -- chain of the own changes at n - 1
);
CREATE INDEX pending_record ON pending (record, n);

-- Records with pending changes as they stand in the stream. One that a pending change creates has no row.
CREATE TABLE base_row (
    record BLOB PRIMARY KEY, -- the record
    kind   INTEGER NOT NULL, -- tag of its kind
    row    BLOB NOT NULL     -- its values by tag; 0x80 and sealed when pii
) WITHOUT ROWID;

-- Acts that the city refused, kept for ever. One is open until a person says that it is made anew or
-- given up.
CREATE TABLE refused (
    first_n INTEGER PRIMARY KEY, -- first change of the act
    last_n  INTEGER NOT NULL,    -- last change of the act
    at_n    INTEGER NOT NULL,    -- the change that was the reason
    code    TEXT NOT NULL,       -- ZT-...
    text    TEXT NOT NULL,       -- the sentence for people
    until_n INTEGER NOT NULL,    -- the last change made before the refusal was taken in
    at      INTEGER NOT NULL,    -- when it was taken in, milliseconds since the Unix epoch
    done_at INTEGER NOT NULL DEFAULT 0, -- when a person closed it, likewise; 0: open
    done_by BLOB                 -- the account of who did
);

-- The changes of refused acts: nothing that anyone typed is lost.
CREATE TABLE refused_change (
    n     INTEGER PRIMARY KEY, -- number of the change
    bytes BLOB NOT NULL,       -- the author's
    side  BLOB,                -- as in pending
    hash  BLOB NOT NULL        -- H(bytes)
);

-- Signed heads: of each stream the newest that was compared with the log (the receipt), and those still
-- ahead of it. Of the city's own stream the newest, as a witness.
CREATE TABLE head (
    stream    INTEGER NOT NULL, -- as in stream
    seq       INTEGER NOT NULL, -- where the head stands
    compared  INTEGER NOT NULL, -- 1: equals the log at seq; 0: seq is not reached yet
    bytes     BLOB NOT NULL,    -- the head as it was signed
    signature BLOB NOT NULL,    -- the city's
    PRIMARY KEY (stream, seq)
) WITHOUT ROWID;

-- The last serial number this replica allotted, by prefix and year.
CREATE TABLE serial (
    prefix TEXT NOT NULL,    -- of the kind
    year   INTEGER NOT NULL, -- of creation; of historic records, of their date
    last   INTEGER NOT NULL, -- the number
    PRIMARY KEY (prefix, year)
) WITHOUT ROWID;
