-- depends: 0002.transaction-log
-- transactional: false
-- The order of the log. Built while payments are posted; a build that was broken off leaves an index that is not
-- valid, so it starts again. Bytes are compared, not letters: the same order everywhere, in Python too.

DROP INDEX IF EXISTS ledger.payment_position;

CREATE INDEX CONCURRENTLY payment_position ON ledger.payment (txid, payment_id COLLATE "C");
