"""
The whole stack on one machine: no Docker, no AWS account, no API key.

`processes` (programs in the background), `cloud` (the local cloud), `sandbox` (the Tagger
API), `stack` (the real template, built and deployed into both, and the hands to use it),
`watch` (what comes out of it, and the patience to wait for it), `garments` (pictures, drawn),
`demo` (the main job, shown); `faults` (a proxy that makes AWS's calls go wrong), `workers` (the
function's processes, and their end), `ledger` (what became of every upload), `fault_matrix` and
`soak` (the proofs of docs/reliability.md). Run as `python -m local`, which is what `make` does.
"""
