-- A stream that is, or was, loaded from a snapshot and whose older history is not here whole yet.
CREATE TABLE snapshot (
    stream       INTEGER PRIMARY KEY, -- as in stream
    base_seq     INTEGER NOT NULL,    -- where the log begins: entries come from behind it
    base_hash    BLOB NOT NULL,       -- chain hash there, from a signed head
    last_seq     INTEGER NOT NULL,    -- the highest seq at which a slice was read: usable from there on
    place        BLOB,                -- where the next slice begins; NULL: at the beginning
    loaded       INTEGER NOT NULL,    -- 1: the last slice is here
    history_seq  INTEGER NOT NULL,    -- older entries are here, and proved, up to this one
    history_hash BLOB NOT NULL        -- chain hash there
);
