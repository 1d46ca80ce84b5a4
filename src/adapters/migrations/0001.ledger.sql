-- The double-entry ledger. The journal decides and the ledger follows, so nothing here can refuse a payment that
-- the journal holds: no foreign key to merchants or accounts, no check that acceptance has not made already.

CREATE SCHEMA ledger;

CREATE TABLE ledger.payment (
    payment_id text PRIMARY KEY,
    merchant_id text NOT NULL,
    amount bigint NOT NULL,
    currency char(3) NOT NULL,
    debtor text NOT NULL,
    creditor text NOT NULL,
    reference text NOT NULL,
    fingerprint text NOT NULL,
    epoch bigint NOT NULL,
    accepted_at timestamptz NOT NULL,
    posted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE ledger.entry (
    payment_id text NOT NULL REFERENCES ledger.payment,
    line smallint NOT NULL,
    account text NOT NULL,
    amount bigint NOT NULL,
    currency char(3) NOT NULL,
    PRIMARY KEY (payment_id, line)
);

CREATE INDEX entry_account ON ledger.entry (account, payment_id);

-- The oldest epoch that may still post. One row, locked by everyone who posts.
CREATE TABLE ledger.fence (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    epoch bigint NOT NULL
);

INSERT INTO ledger.fence (epoch) VALUES (0);

-- Nobody who serves requests may change or delete what was posted. SELECT ... FOR SHARE needs UPDATE on a column.
GRANT USAGE ON SCHEMA ledger TO ledger_application;
GRANT SELECT, INSERT ON ledger.payment, ledger.entry TO ledger_application;
GRANT SELECT, UPDATE (epoch) ON ledger.fence TO ledger_application;
