-- What the last bundle of a replica brought that its answer needs: an office without a line has no session.

CREATE TABLE bundle (
    no            INTEGER PRIMARY KEY, -- of the replica
    hello         BLOB NOT NULL, -- its Hello as it came, one message: where the replica stood
    certificate   BLOB NOT NULL, -- DER of the one it showed: the answer is sealed to its key
    at            INTEGER NOT NULL, -- when the last one was taken in
    given_at      INTEGER NOT NULL DEFAULT 0, -- when one was last made for it; 0: never
    renewed       BLOB,   -- the Frame that answers its Renew; NULL: it asked for none
    renewed_until INTEGER NOT NULL DEFAULT 0, -- end of the certificate in it
    renewed_print BLOB    -- SHA-256 of that certificate's DER
);
