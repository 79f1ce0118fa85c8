-- Replicas that went back to where a life of the city ended: what their people had before their eyes above that place
-- is no longer there.

CREATE TABLE went_back (
    no     INTEGER NOT NULL, -- of the replica
    stream INTEGER NOT NULL,
    seq    INTEGER NOT NULL, -- the place
    n      INTEGER NOT NULL, -- its last change from before
    PRIMARY KEY (no, stream, seq)
) WITHOUT ROWID;
