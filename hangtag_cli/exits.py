"""Ends of commands that could not do their work."""

from __future__ import annotations

import click

INTERRUPTED = 130
"""The exit status after Ctrl-C: 128 and the number of SIGINT."""


class NotDone(click.ClickException):
    """The command failed, with exit status 1. The message is for people and names the way out."""

    exit_code = 1
