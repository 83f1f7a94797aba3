"""
Hangtag: every image uploaded to a bucket comes back tagged.

Begin with `lifecycle` (the statuses of an upload), `tagging` (one attempt) and `batch` (one
invocation). docs/architecture.md lists all modules.
"""
