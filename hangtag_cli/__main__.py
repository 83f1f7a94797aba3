"""`python -m hangtag_cli`: the command `hangtag`, where its script is not on the PATH."""

from .main import cli

cli(prog_name="hangtag")
