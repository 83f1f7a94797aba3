"""
What the local cloud's own Python runs in place of the `ministack` command.

It starts the same program, with two functions of it put right; there are no settings for that.
"""

from typing import Any

# It lives in .local/cloud alone, with an environment of its own.
from ministack import app  # type: ignore[import-not-found]
from ministack.services import lambda_svc  # type: ignore[import-not-found]

concurrency_of_mapping = lambda_svc._sqs_esm_concurrency  # noqa: SLF001


def no_port_443(*_: object) -> bool:
    """
    Whether port 443 may be taken, too, as MiniStack does with TLS wherever it is allowed to.

    Nobody here asks for it, and two clouds side by side, or a web server of this machine,
    would meet there.
    """
    return False


def concurrency_as_a_number(mapping: dict[str, Any], *others: object) -> int:
    """
    How many batches of an event source mapping may be in flight.

    MiniStack compares that with numbers; but where it is a parameter of the stack that was
    given a value, it is text, as all of CloudFormation's parameters are.
    """
    scaling = mapping.get("ScalingConfig") or {}
    if "MaximumConcurrency" in scaling:
        scaling["MaximumConcurrency"] = int(scaling["MaximumConcurrency"])
    concurrency: int = concurrency_of_mapping(mapping, *others)
    return concurrency


app._port_is_bindable = no_port_443  # noqa: SLF001
lambda_svc._sqs_esm_concurrency = concurrency_as_a_number  # noqa: SLF001

app.main()
