"""Lambda's entry point of TagUploads; see `hangtag.entry_points`."""

import os

from hangtag.entry_points import tag_uploads

lambda_handler = tag_uploads(os.environ)
