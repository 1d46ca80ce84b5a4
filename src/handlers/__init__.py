"""One short module per function: parse, call one use case, map the result."""
