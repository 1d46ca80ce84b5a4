"""Drills: something is broken on purpose under live payments, and what that cost is measured."""
