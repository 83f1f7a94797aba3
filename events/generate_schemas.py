"""
Prints the JSON Schema of a type of event, from the models.

    python -m events.generate_schemas hangtag.image.tagged.v1 \
        > events/schemas/hangtag.image.tagged.v1.json
"""

from __future__ import annotations

import json
import sys

from events.models import schema_of


def schema_text(event: str) -> str:
    """The content of the file in `events/schemas`."""
    return json.dumps(schema_of(event), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text(sys.argv[1]))
