-- Whether a node's SRT port has a passphrase. Nodes enrolled before, and processes that do not know the column, have none.

ALTER TABLE nodes ADD COLUMN srt_encrypted boolean NOT NULL DEFAULT false;
