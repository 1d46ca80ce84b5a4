"""Payments: what is accepted, journalled and posted. Standard library only."""
