"""
Prints the template as a deployment with all optional protections has it, for checkov.

    python -m tests.template.protected > template.json

checkov takes an `Fn::If` for a value, and so sees neither of its two values.
"""

from __future__ import annotations

import json
from typing import Any

from tests.template.cloudformation import Deployment, read_template

PROTECTIONS = {
    "AccessLogBucketName": "access-logs",
    "AutoReplaySchedule": "rate(1 day)",
    "KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/1234abcd",
    "OldVersionsDays": "30",
}


def protected_template() -> dict[str, Any]:
    """The template without conditions, and with the protections as defaults."""
    template = read_template()
    resources = Deployment(template, parameters=PROTECTIONS).resources()
    for name, value in PROTECTIONS.items():
        template["Parameters"][name]["Default"] = value
    del template["Conditions"]
    unconditional = {
        name: {part: own for part, own in resource.items() if part != "Condition"}
        for name, resource in resources.items()
    }
    return {**template, "Resources": unconditional}


if __name__ == "__main__":
    print(json.dumps(protected_template(), indent=2))  # noqa: T201 - for a file
