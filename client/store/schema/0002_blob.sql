-- Attachments whose bytes go up or come down. The bytes themselves are files (common/blob); what has come
-- of one so far is told by its part's length.
CREATE TABLE blob (
    attachment BLOB NOT NULL,    -- id of the record
    way        INTEGER NOT NULL, -- 1: made here, goes up; 2: asked for, comes down
    hash       BLOB NOT NULL,    -- SHA-256
    size       INTEGER NOT NULL, -- bytes
    state      INTEGER NOT NULL, -- 0 waiting, 1 done, 2 not to be had or not taken, 3 lost
    code       TEXT NOT NULL,    -- ZT-...: why; empty in 0 and 1
    at         INTEGER NOT NULL, -- when it came into this state, milliseconds since the Unix epoch
    PRIMARY KEY (attachment, way)
) WITHOUT ROWID;
CREATE INDEX blob_open ON blob (way, state) WHERE state <> 1;
