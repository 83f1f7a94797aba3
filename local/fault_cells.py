"""The cells of the fault matrix: each step of an upload or a removal, with each fault of it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

ApiAnswer = Literal["tags", "large tags", "refusal", "retry later", "failure"]
"""The API's answer that makes the function reach a step."""

Mode = Literal["once", "for ever"]
MODES: tuple[Mode, ...] = ("once", "for ever")

THROTTLED = "throttled"
ERROR_500 = "HTTP 500"
SLOW = "slow"
RESET = "reset"
HALF = "half"
DENIED = "denied"
FORBIDDEN = "role without"
ECHOED = "key echoed"
KILLED_BEFORE = "killed before"
KILLED_AFTER = "killed after"
FAULTS = (
    THROTTLED,
    ERROR_500,
    RESET,
    HALF,
    DENIED,
    FORBIDDEN,
    ECHOED,
    SLOW,
    KILLED_BEFORE,
    KILLED_AFTER,
)
KILLING = (KILLED_BEFORE, KILLED_AFTER)
DELAYING = (SLOW, *KILLING)
NO_FAULT = "no fault"


@dataclass(frozen=True, slots=True)
class UploadStep:
    """A step in the processing of an upload, or of its removal: one call of a function."""

    name: str
    service: str = ""
    operation: str = ""
    body: str = ""
    """A JMESPath that selects the call; `KEY` is replaced by the upload's key."""
    by_path: bool = False
    """Whether the request path contains the key."""
    by_digest: bool = False
    """Whether the request path contains a digest of the uri."""
    throttled: str = "ThrottlingException"
    internal: str = "InternalError"
    denied: str = "AccessDenied"
    api_answer: ApiAnswer = "tags"
    only_without_version: bool = False
    """Whether the function makes the call only for an event without a version id."""
    is_claim: bool = False
    """Whether the attempt begins only after the call."""
    alone: bool = False
    """Whether its cells run one after another, because the call does not identify the upload."""
    by_index: bool = False
    """Whether IndexResults makes the call, after the upload has ended."""
    statement: str = ""
    """The sid of the role's statement that allows the call; "" if other steps need it, too."""
    is_removal: bool = False
    """Whether the function makes the call only when the tagged upload is deleted."""

    @property
    def refused(self) -> bool:
        """Whether the API refuses the image."""
        return self.api_answer == "refusal"

    @property
    def retried(self) -> bool:
        """Whether the upload first returns to the queue with a delay of its own."""
        return self.api_answer == "retry later"

    @property
    def is_api(self) -> bool:
        """Whether it is the call of the Tagger API; the sandbox injects its faults."""
        return not self.service

    def match(self, bucket: str, key: str, delay: int) -> dict[str, Any]:
        """Return the part of a rule that selects the calls about an upload."""
        rule = {"service": self.service, "operation": self.operation}
        if self.by_path:
            rule["resource"] = f"/{key}"
        if self.by_digest:
            uri = f"s3://{bucket}/{key}"
            rule["resource"] = f"/{sha256(uri.encode()).hexdigest()[:32]}/"
        if self.body:
            rule["body"] = self.body.replace("KEY", key).replace("DELAY", str(delay))
        return rule


OF_THE_ITEM = "ends_with(Item.uri.S, '/KEY')"
"""JMESPath that selects writes of the upload's record or result."""

DYNAMODB = {
    "service": "dynamodb",
    "throttled": "ProvisionedThroughputExceededException",
    "internal": "InternalServerError",
    "denied": "AccessDeniedException",
}


def put(
    name: str,
    condition: str,
    *,
    api_answer: ApiAnswer = "tags",
    statement: str = "",
    is_claim: bool = False,
    is_removal: bool = False,
) -> UploadStep:
    """Return a step that writes the record or result; the JMESPath `condition` selects it."""
    return UploadStep(
        f"DynamoDB PutItem ({name})",
        operation="PutItem",
        body=f"{OF_THE_ITEM} && {condition}",
        api_answer=api_answer,
        statement=statement,
        is_claim=is_claim,
        is_removal=is_removal,
        **DYNAMODB,  # type: ignore[arg-type]  # all values are str
    )


STEPS = (
    UploadStep(
        "S3 HeadObject",
        "s3",
        "HeadObject",
        by_path=True,
        throttled="SlowDown",
        only_without_version=True,
        is_claim=True,
    ),
    UploadStep(
        "DynamoDB BatchGetItem",
        operation="BatchGetItem",
        body="values(RequestItems)[].Keys[].uri.S | [?ends_with(@, '/KEY')] | [0]",
        is_claim=True,
        alone=True,  # one request for a whole batch
        **DYNAMODB,  # type: ignore[arg-type]  # all values are str
    ),
    put(
        "claim",
        "Item.leaseUntil",
        statement="WriteRecordsAndResults",
        is_claim=True,
    ),
    UploadStep(
        "DynamoDB GetItem (result)",
        operation="GetItem",
        body="ends_with(Key.uri.S, '/KEY')",
        api_answer="failure",
        **DYNAMODB,  # type: ignore[arg-type]  # all values are str
    ),
    UploadStep(
        "S3 GetObject",
        "s3",
        "GetObject",
        by_path=True,
        throttled="SlowDown",
        statement="ReadImages",
    ),
    UploadStep(
        "Secrets Manager GetSecretValue",
        "secretsmanager",
        "GetSecretValue",
        internal="InternalServiceError",
        denied="AccessDeniedException",
        alone=True,
        statement="ReadApiKey",
    ),
    UploadStep("Tagger API"),
    UploadStep(
        "S3 PutObject (large result)",
        "s3",
        "PutObject",
        by_digest=True,
        throttled="SlowDown",
        api_answer="large tags",
        statement="KeepLargeResults",
    ),
    put("store", "Item.version.S == 'result'"),
    UploadStep(
        "SNS Publish",
        "sns",
        "Publish",
        body="contains(Message, '/KEY')",
        throttled="Throttling",
        denied="AuthorizationError",
        statement="AnnounceResults",
    ),
    put("finish", "Item.status.S == 'TAGGED'"),
    UploadStep(
        "SQS SendMessage (dead letter)",
        "sqs",
        "SendMessage",
        body="contains(MessageBody, 'KEY')",
        api_answer="refusal",
        statement="SendDeadLetters",
    ),
    put("store failure", "Item.status.S == 'FAILED'", api_answer="refusal"),
    put(
        "release",
        "Item.status.S == 'OPEN' && !(Item.leaseUntil)",
        api_answer="failure",
    ),
    UploadStep(
        "SQS ChangeMessageVisibilityBatch",
        "sqs",
        "ChangeMessageVisibilityBatch",
        body="contains(Entries[].VisibilityTimeout, `DELAY`)",
        api_answer="retry later",
    ),
    UploadStep(
        "S3 HeadObject (removal)",
        "s3",
        "HeadObject",
        by_path=True,
        throttled="SlowDown",
        is_removal=True,
    ),
    put("tombstone", "Item.removedAt", is_removal=True),
    UploadStep(
        "SNS Publish (removal)",
        "sns",
        "Publish",
        body="contains(Message, '/KEY') && contains(Message, 'image.removed')",
        throttled="Throttling",
        denied="AuthorizationError",
        is_removal=True,
    ),
    put("finish removal", "Item.status.S == 'REMOVED'", is_removal=True),
    UploadStep(
        "S3 GetObject (large result)",
        "s3",
        "GetObject",
        by_digest=True,
        throttled="SlowDown",
        api_answer="large tags",
        by_index=True,
        alone=True,
    ),
    UploadStep(
        "DynamoDB BatchWriteItem (index)",
        operation="BatchWriteItem",
        body="values(RequestItems)[].PutRequest.Item.uri.S | [?ends_with(@, '/KEY')] | [0]",
        by_index=True,
        alone=True,  # a batch of changes fails as a whole
        **DYNAMODB,  # type: ignore[arg-type]  # all values are str
    ),
    UploadStep(
        "SNS Publish (failure)",
        "sns",
        "Publish",
        body="contains(Message, '/KEY') && contains(Message, 'hangtag.image.failed')",
        throttled="Throttling",
        denied="AuthorizationError",
        api_answer="refusal",
        by_index=True,
        alone=True,
    ),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One upload, one fault, one step."""

    step: UploadStep
    fault: str
    mode: Mode = "once"

    def __str__(self) -> str:
        """The name in tests and tables."""
        return f"{self.step.name}, {self.fault}, {self.mode}"

    @property
    def alone(self) -> bool:
        """Whether it must run alone, because the fault would hit other uploads, too."""
        return self.step.alone or self.fault == FORBIDDEN


def all_cells(max_attempts: int = 3) -> list[Cell]:
    """List all cells whose steps a stack with this MaxAttempts reaches."""
    return [
        Cell(step, fault, mode)
        for step in STEPS
        for fault in FAULTS
        for mode in MODES
        # Killed after the API call is the same as killed before the next step.
        if not (step.is_api and fault == KILLED_AFTER)
        and (step.is_api or fault != ECHOED)
        and (fault != FORBIDDEN or (step.statement and mode == "for ever"))
        and (max_attempts > 1 or step.api_answer not in ("retry later", "failure"))
        # IndexResults repeats a batch after any error.
        and (not step.by_index or mode == "once" or fault in (DENIED, KILLED_BEFORE))
        # A response without a body cannot be cut or slowed down.
        and not (
            step.operation in ("HeadObject", "PutObject")
            and fault in (HALF, KILLED_AFTER)
        )
    ]
