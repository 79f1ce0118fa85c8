-- The rest of a replica's last statement, beside said_n and said_waiting.

ALTER TABLE replica ADD COLUMN said_acked_n INTEGER NOT NULL DEFAULT 0;     -- answered, as it knows
ALTER TABLE replica ADD COLUMN said_refused INTEGER NOT NULL DEFAULT 0;     -- refusals nobody has seen to
ALTER TABLE replica ADD COLUMN said_attachments INTEGER NOT NULL DEFAULT 0; -- not wholly handed in
