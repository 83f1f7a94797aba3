"""Lambda's entry point of IndexResults; see `hangtag.entry_points`."""

import os

from hangtag.entry_points import index_results

lambda_handler = index_results(os.environ)
