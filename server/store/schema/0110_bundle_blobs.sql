-- Attachments by bundle: what became of those the last bundle brought, and which ones it asked for.

ALTER TABLE bundle ADD COLUMN blobs BLOB; -- Frames, each with its length: BlobDone and BlobWant; NULL: none
