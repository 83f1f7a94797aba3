"""Lambda's entry point of ReplayFailures; see `hangtag.entry_points`."""

import os

from hangtag.entry_points import replay_failures

lambda_handler = replay_failures(os.environ)
