-- What only the city keeps: replicas and what it answered them, refusals, tokens, counters.

CREATE TABLE replica (
    no           INTEGER PRIMARY KEY, -- the city's small number for it, from 1
    id           BLOB NOT NULL UNIQUE,
    site         INTEGER NOT NULL,
    k            INTEGER NOT NULL,    -- the site's k-th replica
    state        INTEGER NOT NULL,    -- 0 active, 1 retired, 2 lost
    serial       TEXT NOT NULL,       -- of its certificate, hex
    fingerprint  BLOB NOT NULL,       -- SHA-256 of its certificate
    accepted_n   INTEGER NOT NULL,    -- its changes up to here have been answered
    own_chain    BLOB NOT NULL,       -- chain of its own changes at accepted_n
    enrolled_at  INTEGER NOT NULL,
    seen_at      INTEGER NOT NULL,
    skew_ms      INTEGER NOT NULL,    -- its clock minus the city's at the last Hello
    said_n       INTEGER NOT NULL,    -- last statement: changes it has made
    said_waiting INTEGER NOT NULL,    -- and how many wait unanswered
    software     TEXT NOT NULL
);

-- Every change of every replica that was answered, in its order.
CREATE TABLE processed (
    pos   INTEGER PRIMARY KEY, -- replica.no * 2^40 + n
    seq   INTEGER NOT NULL,    -- the entry in its site's stream; 0: refused
    chain BLOB NOT NULL        -- chain of its own changes at n
);

-- Acts that were refused, until and after the county has taken the refusal in.
CREATE TABLE refusal (
    pos     INTEGER PRIMARY KEY, -- replica.no * 2^40 + first n
    last_n  INTEGER NOT NULL,
    at_n    INTEGER NOT NULL,    -- the change that was the reason
    code    TEXT NOT NULL,
    text    TEXT NOT NULL,       -- Chinese sentence
    quarantined INTEGER NOT NULL,
    until_n INTEGER,             -- RefusedAck: what was made up to here falls with it; NULL: not acknowledged
    bytes   BLOB NOT NULL        -- the act: per change varint length + bytes, varint length + side; last,
                                 -- so that the rest is read without it
);

-- Records that fall with a refusal: changes to them up to until_n are refused too.
CREATE TABLE refused_record (
    no      INTEGER NOT NULL,
    record  BLOB NOT NULL,
    first_n INTEGER NOT NULL,    -- of the refused act
    created INTEGER NOT NULL,    -- its creation was refused: references fall too
    PRIMARY KEY (no, record, first_n)
) WITHOUT ROWID;

CREATE TABLE token (
    secret_hash BLOB PRIMARY KEY, -- the secret itself is kept nowhere
    site        INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    used_at     INTEGER
) WITHOUT ROWID;

-- Series of numbers: serials by prefix and year, receipts, case numbers.
CREATE TABLE counter (
    series TEXT PRIMARY KEY,
    last   INTEGER NOT NULL
) WITHOUT ROWID;
