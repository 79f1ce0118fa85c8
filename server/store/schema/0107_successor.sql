-- Replicas that were made anew out of another: a copied disk, or one restored from an old backup. Up to
-- base its changes, and the answers to them, are those of the predecessor: its rows in processed begin
-- as a copy of those.

ALTER TABLE replica ADD COLUMN predecessor INTEGER NOT NULL DEFAULT 0; -- no; 0: enrolled by a token
ALTER TABLE replica ADD COLUMN base INTEGER NOT NULL DEFAULT 0;        -- its own changes begin behind this n
CREATE INDEX replica_predecessor ON replica (predecessor) WHERE predecessor <> 0;
