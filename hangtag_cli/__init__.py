"""
The operator's command `hangtag`: a thin edge, like the function's handler.

`main` holds the global options; `results`, `failures`, `status`, `tag`, `key` and `sandbox` are
the commands; `stack` is what they need of AWS. stdout is data, stderr is talk; a command exits
with 0 when it is done, 1 when it is not (nothing found, something left), 2 when it is used
wrongly.

Command modules import what is slow to import (boto3, requests, rich, pydantic) where it is used,
so that `--help` does not wait for it.
"""
