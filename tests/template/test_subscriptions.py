"""The subscriptions on docs/events.md are valid templates."""

from __future__ import annotations

import subprocess
from pathlib import Path

from local.cloud import PROGRAMS
from tests.events_page import snippets, template_of
from tests.template.cloudformation import ROOT

WAYS = {"SQS", "Lambda", "HTTP", "E-mail", "EventBridge"}


def test_the_page_has_a_template_for_each_way_to_subscribe() -> None:
    """What SNS can deliver to, and EventBridge."""
    assert set(snippets()) == WAYS


def test_every_subscription_passes_cfn_lint(tmp_path: Path) -> None:
    """Alone in a template with the parameter that the page names."""
    for name, text in snippets().items():
        (tmp_path / f"{name}.yaml").write_text(template_of(text), "utf-8")

    done = subprocess.run(
        [
            PROGRAMS / "cfn-lint",
            *("--non-zero-exit-code", "warning"),
            "--",
            *sorted(tmp_path.glob("*.yaml")),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


def test_every_application_of_the_repository_is_linted() -> None:
    """`make lint` checks the templates that this file lists."""
    linted = (ROOT / ".cfnlintrc").read_text("utf-8")

    templates = {
        str(template.relative_to(ROOT))
        for template in ROOT.glob("examples/*/template.yaml")
    }

    assert templates
    assert {template for template in templates if template not in linted} == set()
