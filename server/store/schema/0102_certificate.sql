-- The certificates of replicas: the one in use, and the one that takes its place when it is first used.
-- A replica that was enrolled before this table has a row with its first renewal; until then its
-- fingerprint stands in replica only.

CREATE TABLE certificate (
    no          INTEGER NOT NULL, -- of the replica
    next        INTEGER NOT NULL, -- 0 in use; 1 issued and not used yet
    serial      TEXT NOT NULL,    -- hex
    fingerprint BLOB NOT NULL,    -- SHA-256 of its DER
    key         BLOB NOT NULL,    -- SHA-256 of its public key
    authority   BLOB NOT NULL,    -- SHA-256 of the DER of the CA that issued it
    not_after   INTEGER NOT NULL,
    PRIMARY KEY (no, next)
) WITHOUT ROWID;
