"""
Writes docs/tagger-api.openapi.yaml from the contract's models.

    python docs/generate_openapi.py > docs/tagger-api.openapi.yaml
"""  # noqa: INP001 - docs/ is a folder of pages, not a package

from __future__ import annotations

import sys

import yaml

from hangtag_sandbox.openapi import openapi

HEAD = "# Made by docs/generate_openapi.py; do not edit.\n"


class _Plain(yaml.SafeDumper):
    """Writes repeated values in full, because YAML aliases are hard to read."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  PyYAML's signature
        return True


def _text(dumper: _Plain, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Plain.add_representer(str, _text)


def openapi_yaml() -> str:
    """Return the OpenAPI document as YAML."""
    document = yaml.dump(
        openapi(), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100
    )
    return HEAD + document


if __name__ == "__main__":
    sys.stdout.write(openapi_yaml())
