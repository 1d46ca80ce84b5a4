-- depends: 0001.ledger
-- Where a payment stands in the transaction log: the transaction that posted it, in 64 bits, so never used again.
-- What ships the log takes a row only when every transaction up to its own has ended, as the replica sees it, and
-- so never passes one that commits later. Not volatile: rows that are there get this migration's, without a rewrite.

ALTER TABLE ledger.payment
    ADD COLUMN txid bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint);
