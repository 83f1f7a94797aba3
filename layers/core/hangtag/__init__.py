"""
Hangtag: every image uploaded to a bucket comes back tagged.

The modules read like the flow: `uploads` (what arrived), `contract` (what the Tagger API is asked
and says), `results` (what is kept and announced), `failures` and `dead_letters` (what went
wrong), `ports` (what the core needs from outside), `pipeline` and `replay` (what is done),
`adapters` (AWS and HTTP), `settings` and `wiring` (the environment and the clients).
"""
