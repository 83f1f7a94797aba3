"""
The whole stack on one machine: no Docker, no AWS account, no API key.

`processes` (programs in the background), `cloud` (the local cloud), `sandbox` (the Tagger
API), `stack` (the real template, built and deployed into both, and the hands to use it),
`watch` (what comes out of it, and the patience to wait for it), `garments` (pictures, drawn),
`demo` (the main job, shown). Run as `python -m local`, which is what `make` does.
"""
