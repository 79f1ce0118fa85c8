-- Rows of counties that differed from ours, as they reported. The newest thousand of each replica.
CREATE TABLE repair (
    replica INTEGER NOT NULL, -- replica.no
    no      INTEGER NOT NULL, -- the county's number of it
    at      INTEGER NOT NULL, -- its clock, milliseconds since the Unix epoch
    noted   INTEGER NOT NULL, -- ours
    stream  INTEGER NOT NULL,
    kind    INTEGER NOT NULL, -- tag
    record  BLOB NOT NULL,
    seq     INTEGER NOT NULL, -- where the row differed
    how     INTEGER NOT NULL, -- 1 replaced, 2 added, 3 removed, 4 left alone: ours is not what its log says
    PRIMARY KEY (replica, no)
) WITHOUT ROWID;
