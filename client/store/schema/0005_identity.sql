-- Identities that this computer had before: another computer went on under each, or it was restored from
-- an old backup.

-- Up to base the own changes were made under an earlier identity.
ALTER TABLE own ADD COLUMN base INTEGER NOT NULL DEFAULT 0;

CREATE TABLE predecessor (
    step    INTEGER PRIMARY KEY, -- 1: the identity of the enrolment
    replica BLOB NOT NULL,       -- its id
    until_n INTEGER NOT NULL,    -- own changes up to here are of it, or of one before it
    remade  INTEGER NOT NULL,    -- pending changes that were registered anew under the next
    at      INTEGER NOT NULL     -- when it was left, milliseconds since the Unix epoch
);
