-- depends: 0003.transaction-log-index
-- How far a takeover has worked the journal off, by shard of the work list. It stands in the ledger itself: a copy
-- that has a bookmark has every row that was posted before it, and one that lost such rows lost the bookmark, too.

CREATE TABLE ledger.recovery (
    shard text PRIMARY KEY,
    epoch bigint NOT NULL,
    after text NOT NULL
);

GRANT SELECT, INSERT, UPDATE ON ledger.recovery TO ledger_application;
