"""A few cells of `make faults`: faults in the function's calls of AWS and the API."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.fault_cells import (
    DENIED,
    ERROR_500,
    FAULTS,
    FORBIDDEN,
    HALF,
    KILLED_AFTER,
    KILLED_BEFORE,
    RESET,
    SLOW,
    STEPS,
    THROTTLED,
    Cell,
    Mode,
    UploadStep,
    all_cells,
)
from local.fault_outcomes import Outcome
from local.fault_runner import cell_runner
from tests.stack.conftest import steps_in_the_report


def step(name: str) -> UploadStep:
    """Return the step of this name."""
    [found] = [one for one in STEPS if one.name == name]
    return found


def cell(name: str, fault: str, mode: Mode = "once") -> Cell:
    """Return a cell of the matrix."""
    return Cell(step(name), fault, mode)


FEW = [
    cell("S3 HeadObject", THROTTLED),
    cell("DynamoDB BatchGetItem", ERROR_500),
    cell("DynamoDB PutItem (release)", HALF),
    cell("DynamoDB PutItem (claim)", THROTTLED),
    cell("DynamoDB PutItem (claim)", KILLED_AFTER),
    cell("DynamoDB GetItem (result)", ERROR_500),
    cell("S3 GetObject", HALF),
    cell("S3 GetObject", DENIED, "for ever"),
    cell("S3 GetObject", KILLED_BEFORE),
    cell("Secrets Manager GetSecretValue", RESET),
    cell("Tagger API", HALF),
    cell("Tagger API", ERROR_500, "for ever"),
    cell("Tagger API", KILLED_BEFORE),
    cell("DynamoDB PutItem (store)", RESET),
    cell("DynamoDB PutItem (store)", KILLED_AFTER),
    cell("SNS Publish", THROTTLED),
    cell("SNS Publish", SLOW),
    cell("SNS Publish", KILLED_BEFORE),
    cell("DynamoDB PutItem (finish)", HALF),
    cell("SQS SendMessage (dead letter)", ERROR_500),
    cell("SQS SendMessage (dead letter)", DENIED),
    cell("SQS SendMessage (dead letter)", FORBIDDEN, "for ever"),
    cell("DynamoDB PutItem (store failure)", THROTTLED),
    cell("SQS ChangeMessageVisibilityBatch", RESET),
]


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Outcome]]:
    """The outcomes of the cells by name; all cells run together in a new stack."""
    directory = tmp_path_factory.mktemp("faults")
    with cell_runner(directory, step=steps_in_the_report(request.config)) as runner:
        yield {str(outcome.cell): outcome for outcome in runner.run(FEW)}


@pytest.mark.parametrize("name", [str(one) for one in FEW])
def test_an_upload_that_meets_a_fault_is_finished_and_paid_once(
    outcomes: dict[str, Outcome], name: str
) -> None:
    """It is tagged, or it failed and has a dead letter; every extra call has a reason."""
    assert outcomes[name].troubles == ()


def test_the_few_cells_cover_every_step_and_every_fault() -> None:
    """A new step or fault must be added to these tests, too."""
    assert {one.step for one in FEW} == {one.step for one in all_cells()}
    assert {one.fault for one in FEW} == set(FAULTS)
