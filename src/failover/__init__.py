"""Which region is active, and how that changes. Standard library only."""
