"""
The operator's command `hangtag`: a thin edge, like the functions' handlers.

`main` has the global options; `tag`, `results`, `failures`, `backfill`, `status`, `switching`,
`key` and `sandbox` are the commands; `stack` is the deployed stack, on the clients of `aws`. Data
goes to stdout, messages to stderr. A command exits with 0 when it is done, 1 when it is not
(nothing found, something left), 2 for wrong usage, 130 after Ctrl-C.

The modules import slow packages (boto3, requests, rich, pydantic) in the functions that use them,
so that `--help` does not wait for them. Imports have no cycles.
"""
