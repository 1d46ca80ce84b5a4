-- depends: 0004.recovery
-- Whoever compares both regions' ledgers says also which migrations each has, and whether that is what its code needs.

GRANT USAGE ON SCHEMA migrations TO ledger_application;
GRANT SELECT ON migrations.applied TO ledger_application;
