"""The embedded AWS of the lab: MiniStack, extended from outside with what our templates need and it lacks.

Nothing in MiniStack is edited. CloudFormation types are added to its table of resource handlers, API actions
to its table of actions, and every handler is put behind the AWS resource schema (`lab.embedded.extension`).
The names used are private to MiniStack: its version is pinned in `requirements.txt`, and `docs/lab.md` lists
what is modelled.
"""
