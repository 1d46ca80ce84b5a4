# ruff: noqa: N818 - the names say what is so; "Error" would add nothing
"""What both domains may meet when they ask another system something."""


class Unavailable(Exception):
    """No usable answer came back; whether the call took effect is unknown, which is never taken for no."""


class Refused(Exception):
    """The global database cannot change over now; nothing was changed."""
