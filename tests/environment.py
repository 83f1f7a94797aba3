"""The environment that tests see."""

from __future__ import annotations

import logging
import os
from typing import Final

import pytest

REGION: Final = "eu-central-1"

_OURS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


def isolate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides the developer's AWS and Hangtag settings and width; credentials are made up."""
    # The function's logger replaces the handlers of libraries' logs
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [*root.handlers])
    for name in list(os.environ):
        # pytest-xdist sets COLUMNS in its workers
        if name.startswith(("AWS_", "HANGTAG_")) or name == "COLUMNS":
            monkeypatch.delenv(name)
    for name, value in _OURS.items():
        monkeypatch.setenv(name, value)
