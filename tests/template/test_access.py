"""The template's policies allow what is needed and nothing else, and its data is encrypted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.template.cloudformation import (
    ROOT,
    Deployment,
    listed,
    policy_statements,
    read_template,
    references,
)
from tests.template.protected import PROTECTIONS, protected_template

TEMPLATE = read_template()
DEFAULTS = Deployment(TEMPLATE).resources()
WITH_KEY = Deployment(
    TEMPLATE, parameters={"KmsKeyArn": PROTECTIONS["KmsKeyArn"]}
).resources()
EXISTING_WITH_KEY = Deployment(
    TEMPLATE,
    parameters={
        "ExistingBucketName": "shop-images",
        "KmsKeyArn": PROTECTIONS["KmsKeyArn"],
    },
).resources()
KEY = {"Ref": "KmsKeyArn"}

ACCOUNT, FOREIGN = "123456789012", "999999999999"
Request = Mapping[str, str]
"""The condition keys of a request, as AWS sets them."""


# ---- roles

ON_ALL_RESOURCES = {
    # IAM has no narrower resource for this action
    ("TagUploadsRole", "lambda:ListEventSourceMappings"),
    ("IndexResultsRole", "dynamodb:ListStreams"),
}
WILDCARD_ACTIONS = {
    # Adds only ...Batch, which the local cloud checks separately
    "sqs:ChangeMessageVisibility*",
}


def allowed() -> Iterator[tuple[str, str, list[Any]]]:
    """Role's policy, action and resources of each permission that a role has."""
    for name, statement in policy_statements(TEMPLATE):
        if statement["Effect"] == "Allow" and "Principal" not in statement:
            resources = statement["Resource"]
            several = resources if isinstance(resources, list) else [resources]
            for action in listed(statement["Action"]):
                yield name, action, several


def test_a_role_is_allowed_single_actions_on_named_resources() -> None:
    """Each exception has its reason."""
    on_all = {(name, action) for name, action, found in allowed() if "*" in found}
    wildcards = {action for _, action, _ in allowed() if "*" in action}

    assert on_all == ON_ALL_RESOURCES
    assert wildcards == WILDCARD_ACTIONS


def test_no_role_has_a_managed_policy() -> None:
    """AWS's managed policies allow access to all queues and logs of the account."""
    roles = [one for one in DEFAULTS.values() if one["Type"] == "AWS::IAM::Role"]

    assert roles
    assert not [one for one in roles if "ManagedPolicyArns" in one["Properties"]]


def test_a_role_may_access_the_table_by_the_keys_of_its_items() -> None:
    """ReplayFailures can neither open nor close the breaker, nor change the rate."""
    keys: dict[tuple[str, str], set[str]] = {}
    for name, statement in policy_statements(TEMPLATE):
        if statement.get("Resource") == {"Fn::GetAtt": ["ResultsTable", "Arn"]}:
            [(operator, condition)] = statement["Condition"].items()
            [(key, values)] = condition.items()
            assert key == "dynamodb:LeadingKeys"
            for action in listed(statement["Action"]):
                found = keys.setdefault((name, action), set())
                found.update(f"{operator} {value}" for value in values)

    not_of_state = {"ForAllValues:StringNotLike hangtag:*"}
    readable = {
        f"ForAllValues:StringNotEquals hangtag:{item}" for item in ("slots", "replay")
    }
    item = "ForAllValues:StringEquals hangtag:"
    assert keys == {
        ("TagUploadsRole", "dynamodb:BatchGetItem"): readable,
        ("TagUploadsRole", "dynamodb:GetItem"): readable,
        ("TagUploadsRole", "dynamodb:PutItem"): not_of_state,
        ("TagUploadsRole", "dynamodb:UpdateItem"): {
            *not_of_state,
            f"{item}breaker",
            f"{item}slots",
        },
        ("ReplayFailuresRole", "dynamodb:BatchGetItem"): not_of_state,
        ("ReplayFailuresRole", "dynamodb:PutItem"): {
            *not_of_state,
            f"{item}replay",
        },
    }


# ---- resource policies


def is_denied(resource: str, action: str, request: Request) -> bool:
    """Whether the policy of a queue or topic, or of the bucket, denies a request."""
    return any(
        statement["Effect"] == "Deny"
        and statement["Principal"] == "*"
        and any(fnmatchcase(action, one) for one in listed(statement["Action"]))
        and holds(statement["Condition"], request)
        for name, statement in policy_statements(TEMPLATE)
        if name == resource
    )


def holds(conditions: Mapping[str, Mapping[str, Any]], request: Request) -> bool:
    """Whether all conditions of a statement hold, as IAM evaluates these operators."""
    return all(
        OPERATORS[operator](request.get(key), account_of(expected))
        for operator, pairs in conditions.items()
        for key, expected in pairs.items()
    )


def account_of(value: object) -> str:
    """A condition's value, in this account."""
    return ACCOUNT if value == {"Ref": "AWS::AccountId"} else str(value)


OPERATORS: Mapping[str, Callable[[str | None, str], bool]] = {
    "Bool": lambda actual, expected: actual == expected,
    "BoolIfExists": lambda actual, expected: actual in (None, expected),
    "Null": lambda actual, expected: (actual is None) == (expected == "true"),
    "StringEquals": lambda actual, expected: actual == expected,
    # Both are true without the key, too
    "StringNotEquals": lambda actual, expected: actual != expected,
    "StringNotEqualsIfExists": lambda actual, expected: actual != expected,
}

TLS = {"aws:SecureTransport": "true"}
PROTECTED = {
    "UploadQueuePolicy": "sqs:SendMessage",
    "DeadLetterQueuePolicy": "sqs:ReceiveMessage",
    "IndexFailuresQueuePolicy": "sqs:ReceiveMessage",
    "ResultsTopicPolicy": "sns:Subscribe",
    "AlarmsTopicPolicy": "sns:Publish",
}


SERVICE = {"aws:PrincipalIsAWSService": "true"}
NO_SERVICE = {"aws:PrincipalIsAWSService": "false"}


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({**NO_SERVICE, "aws:PrincipalAccount": ACCOUNT}, False),
        ({**NO_SERVICE, "aws:PrincipalAccount": FOREIGN}, True),
        ({}, True),
        ({"aws:PrincipalAccount": "anonymous"}, True),
        ({**SERVICE, "aws:SourceAccount": ACCOUNT}, False),
        ({**SERVICE, "aws:SourceAccount": FOREIGN}, True),
        (SERVICE, False),
        # A service may have an account of its own
        ({**SERVICE, "aws:PrincipalAccount": FOREIGN}, False),
        (
            {
                **SERVICE,
                "aws:PrincipalAccount": FOREIGN,
                "aws:SourceAccount": ACCOUNT,
            },
            False,
        ),
        (
            {
                **SERVICE,
                "aws:PrincipalAccount": ACCOUNT,
                "aws:SourceAccount": FOREIGN,
            },
            True,
        ),
        # As the local cloud sets the keys for S3 and SNS
        ({"aws:PrincipalAccount": "", "aws:SourceAccount": ACCOUNT}, False),
        ({"aws:PrincipalAccount": "", "aws:SourceAccount": FOREIGN}, True),
    ],
    ids=[
        *("role of this account", "other account", "no keys", "anonymous"),
        *("service for this account", "service for another", "service for none"),
        *("service with an account", "service with an account, for this one"),
        *("service for another, with this account", "local", "local for another"),
    ],
)
@pytest.mark.parametrize("resource", PROTECTED)
def test_queues_and_topics_deny_other_accounts(
    resource: str, request_: Request, *, expected: bool
) -> None:
    """
    Also if a statement that is added later allows more.

    A service that names no account is not denied, but needs a statement that admits it.
    """
    assert is_denied(resource, PROTECTED[resource], {**TLS, **request_}) == expected


BUCKET_POLICIES = ("UploadsBucketPolicy", "LargeResultsBucketPolicy")


@pytest.mark.parametrize("resource", [*PROTECTED, *BUCKET_POLICIES])
def test_queues_topics_and_buckets_deny_requests_without_tls(resource: str) -> None:
    """Announcements, keys and images would be readable on the way."""
    action = PROTECTED.get(resource, "s3:PutObject")
    own = {"aws:PrincipalAccount": ACCOUNT}

    assert is_denied(resource, action, {**own, "aws:SecureTransport": "false"})
    assert not is_denied(resource, action, {**own, **TLS})


def test_a_policy_denies_all_actions_of_its_resource() -> None:
    """SNS has no wildcard for them: its policies name the eight actions that they can have."""
    actions = {
        (name, statement["Sid"]): set(listed(statement["Action"]))
        for name, statement in policy_statements(TEMPLATE)
        if statement["Effect"] == "Deny"
    }
    sns = {
        "AddPermission",
        "DeleteTopic",
        "GetTopicAttributes",
        "ListSubscriptionsByTopic",
        "Publish",
        "RemovePermission",
        "SetTopicAttributes",
        "Subscribe",
    }

    topic = {f"sns:{action}" for action in sns}
    assert actions == {
        **{(policy, "TlsOnly"): {"s3:*"} for policy in BUCKET_POLICIES},
        **{
            (policy, sid): topic if "Topic" in policy else {"sqs:*"}
            for policy in PROTECTED
            for sid in ("TlsOnly", "ThisAccountOnly", "ServicesForThisAccountOnly")
        },
    }


def test_each_queue_topic_and_bucket_has_a_policy() -> None:
    """A new one needs one, too."""
    kinds = {"AWS::SQS::Queue", "AWS::SNS::Topic", "AWS::S3::Bucket"}
    protected = {
        target
        for resource in DEFAULTS.values()
        if resource["Type"].endswith(("QueuePolicy", "TopicPolicy", "BucketPolicy"))
        for name in ("Queues", "Topics", "Bucket")
        for target in references(resource["Properties"].get(name))
    }

    assert protected == {
        name for name, resource in DEFAULTS.items() if resource["Type"] in kinds
    }


# ---- encryption

BUCKETS = ("UploadsBucket", "LargeResultsBucket")
ENCRYPTED_BY = {
    "AWS::S3::Bucket": lambda own: own["BucketEncryption"][
        "ServerSideEncryptionConfiguration"
    ][0]["ServerSideEncryptionByDefault"].get("KMSMasterKeyID"),
    "AWS::SQS::Queue": lambda own: own.get("KmsMasterKeyId"),
    "AWS::SNS::Topic": lambda own: own.get("KmsMasterKeyId"),
    "AWS::DynamoDB::Table": lambda own: own["SSESpecification"].get("KMSMasterKeyId"),
    "AWS::Logs::LogGroup": lambda own: own.get("KmsKeyId"),
    "AWS::SecretsManager::Secret": lambda own: own.get("KmsKeyId"),
    "AWS::Serverless::Function": lambda own: own.get("KmsKeyArn"),
}
"""The key of a resource of each type that keeps data."""

WITHOUT_A_KEY = {
    "AWS::CloudWatch::Alarm": "has the figures of the template",
    "AWS::CloudWatch::Dashboard": "has the text of the template",
    "AWS::Events::Rule": "has the text of the template, and keeps no event",
    "AWS::IAM::Policy": "has the text of the template",
    "AWS::IAM::Role": "has the text of the template",
    "AWS::S3::BucketPolicy": "has the text of the template",
    "AWS::SNS::Subscription": "has an address only",
    "AWS::SNS::TopicPolicy": "has the text of the template",
    "AWS::SQS::QueuePolicy": "has the text of the template",
    "AWS::Scheduler::Schedule": "its input is in the template",
    "AWS::Serverless::LayerVersion": "has the project's code and public packages",
}
"""Why a resource of another type is not encrypted with the key."""


def test_the_key_encrypts_every_resource_that_keeps_data() -> None:
    """A new type of resource needs an entry."""
    for name, resource in WITH_KEY.items():
        if resource["Type"] not in WITHOUT_A_KEY:
            key = ENCRYPTED_BY[resource["Type"]](resource["Properties"])
            assert key == KEY, name


def test_without_a_key_of_the_owner_aws_encrypts_with_its_own() -> None:
    """Free of charge; DynamoDB, SNS, logs, secrets and functions always encrypt."""
    for resource in DEFAULTS.values():
        if resource["Type"] in ENCRYPTED_BY:
            key = ENCRYPTED_BY[resource["Type"]](resource.get("Properties", {}))
            assert key is None
    for bucket in BUCKETS:
        assert DEFAULTS[bucket]["Properties"]["BucketEncryption"] == {
            "ServerSideEncryptionConfiguration": [
                {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
            ]
        }
    for queue in ("UploadQueue", "DeadLetterQueue", "IndexFailuresQueue"):
        assert DEFAULTS[queue]["Properties"]["SqsManagedSseEnabled"] is True
    for table in ("ResultsTable", "IndexTable"):
        assert DEFAULTS[table]["Properties"]["SSESpecification"] == {
            "SSEEnabled": False
        }
    assert set(WITH_KEY) - set(DEFAULTS) == {
        "TagUploadsKeyPolicy",
        "ReplayFailuresKeyPolicy",
        "IndexResultsKeyPolicy",
    }


def test_the_key_replaces_the_other_encryption() -> None:
    """SQS takes one of both; S3 asks for fewer data keys with a bucket key."""
    tables = [
        WITH_KEY[name]["Properties"]["SSESpecification"]
        for name in ("ResultsTable", "IndexTable")
    ]

    for bucket in BUCKETS:
        [rule] = WITH_KEY[bucket]["Properties"]["BucketEncryption"][
            "ServerSideEncryptionConfiguration"
        ]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
        assert rule["BucketKeyEnabled"] is True
    for table in tables:
        assert (table["SSEEnabled"], table["SSEType"]) == (True, "KMS")
    for queue in ("UploadQueue", "DeadLetterQueue", "IndexFailuresQueue"):
        assert WITH_KEY[queue]["Properties"]["SqsManagedSseEnabled"] is False


ENCRYPTING_SERVICES = {"dynamodb", "logs", "s3", "secretsmanager", "sns", "sqs"}
"""Services that use the key of their resource with the permissions of who calls them."""

ACTIONS_THROUGH = {
    "dynamodb": {
        *("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"),
        *("kms:ReEncryptFrom", "kms:ReEncryptTo"),
    }
}
OTHER_ACTIONS = {"kms:Decrypt", "kms:GenerateDataKey"}


def uses_of_the_key(
    statements: list[dict[str, Any]], *, region: str
) -> dict[str, set[str]]:
    """The actions on the key by the service through which they are allowed."""
    found: dict[str, set[str]] = {}
    for statement in statements:
        assert statement["Effect"] == "Allow"
        [(operator, condition)] = statement["Condition"].items()
        [(key, values)] = condition.items()
        assert (operator, key) == ("StringLike", "kms:ViaService")
        for value in values if isinstance(values, list) else [values]:
            text = value["Fn::Sub"] if isinstance(value, dict) else value
            service, _, rest = text.partition(".")
            assert rest == f"{region}.*"
            found.setdefault(service, set()).update(listed(statement["Action"]))
    return found


@pytest.mark.parametrize(
    ("policy", "role"),
    [
        ("TagUploadsKeyPolicy", "TagUploadsRole"),
        ("ReplayFailuresKeyPolicy", "ReplayFailuresRole"),
        ("IndexResultsKeyPolicy", "IndexResultsRole"),
    ],
)
def test_a_role_may_use_the_key_through_the_services_that_it_calls(
    policy: str, role: str
) -> None:
    """And not by itself."""
    called = {action.partition(":")[0] for name, action, _ in allowed() if name == role}
    own = WITH_KEY[policy]["Properties"]
    statements = own["PolicyDocument"]["Statement"]

    assert own["Roles"] == [{"Ref": role}]
    assert uses_of_the_key(statements, region="${AWS::Region}") == {
        service: ACTIONS_THROUGH.get(service, OTHER_ACTIONS)
        for service in called & ENCRYPTING_SERVICES
    }
    assert all(statement["Resource"] == KEY for statement in statements)


def test_the_stream_is_read_after_its_reader_may_use_the_key() -> None:
    """Lambda may refuse the mapping of a stream that the role cannot read, and so the stack."""
    metadata = TEMPLATE["Resources"]["IndexResults"]["Metadata"]

    assert "IndexResultsKeyPolicy" in references(metadata)
    assert "IndexResultsKeyPolicy" not in references(DEFAULTS["IndexResults"])


# ---- the key's own policy

PAGE = (ROOT / "docs/encryption.md").read_text("utf-8")


def key_policy() -> dict[str, Any]:
    """The key policy in docs/encryption.md, by Sid."""
    [block] = re.findall(r"```json\n(.+?)```", PAGE, re.DOTALL)
    return {one["Sid"]: one for one in json.loads(block)["Statement"]}


def test_the_documented_statements_of_operators_are_those_of_the_roles() -> None:
    """For each encrypting service that a command calls."""
    [block] = re.findall(r"```\n(\[\n.+?)```", PAGE, re.DOTALL)
    commands = json.loads((ROOT / "docs/operator-policy.json").read_text("utf-8"))
    called = set(re.findall(r'"([a-z0-9]+):[A-Z]', json.dumps(commands)))

    assert uses_of_the_key(json.loads(block), region="REGION") == {
        service: ACTIONS_THROUGH.get(service, OTHER_ACTIONS)
        for service in called & ENCRYPTING_SERVICES
    }


def test_the_documented_policy_for_an_old_key_lets_every_function_read() -> None:
    """The policies of the roles name the new key only."""
    [block] = re.findall(r"```\n( *\{\"Version\".+?)```", PAGE, re.DOTALL)

    assert uses_of_the_key(json.loads(block)["Statement"], region="REGION") == {
        service: {"kms:Decrypt"} for service in ("dynamodb", "s3", "sqs")
    }
    [outputs] = re.findall(r"For each of the outputs (.+?):\n", PAGE, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", outputs)) == {
        name for name in TEMPLATE["Outputs"] if name.endswith("FunctionName")
    }


def services_that_need_the_key() -> set[str]:
    """Services that write into encrypted resources without a role of the stack."""
    found = set()
    for resource in [*WITH_KEY.values(), *EXISTING_WITH_KEY.values()]:
        own = resource.get("Properties", {})
        targets = set(references(own.get("NotificationConfiguration")))
        if encrypted(targets):
            found.add("s3.amazonaws.com")
        if resource["Type"] == "AWS::Events::Rule" and encrypted(
            references(own["Targets"])
        ):
            found.add("events.amazonaws.com")
        if encrypted(references([own.get("AlarmActions"), own.get("OKActions")])):
            found.add("cloudwatch.amazonaws.com")
        if resource["Type"] == "AWS::Logs::LogGroup" and own.get("KmsKeyId"):
            found.add("logs.REGION.amazonaws.com")
    return found


def encrypted(names: Iterator[str] | set[str]) -> bool:
    """Whether one of the resources is encrypted with the key."""
    return any(KEY in WITH_KEY[name]["Properties"].values() for name in names)


def test_the_documented_key_policy_admits_the_services_that_write() -> None:
    """A service that is missing there loses notifications, alarms or log lines silently."""
    services = {
        one["Principal"]["Service"]
        for one in key_policy().values()
        if "Service" in one["Principal"]
    }

    assert services == services_that_need_the_key()


def test_the_documented_key_policy_admits_services_for_this_account_only() -> None:
    """A service acts for all its customers."""
    for one in key_policy().values():
        if "Service" in one["Principal"]:
            assert "ACCOUNT" in json.dumps(one["Condition"]), one["Sid"]


def test_the_page_names_every_type_of_resource() -> None:
    """With the key, or with the reason why it has none."""
    kinds = {resource["Type"] for resource in TEMPLATE["Resources"].values()}

    assert kinds == set(ENCRYPTED_BY) | set(WITHOUT_A_KEY)


# ---- the bucket


def test_old_versions_and_access_logs_are_the_owners_choice() -> None:
    """By default an update of a running stack deletes no version."""
    default = DEFAULTS["UploadsBucket"]["Properties"]
    chosen = Deployment(TEMPLATE, parameters=PROTECTIONS).resources()["UploadsBucket"][
        "Properties"
    ]
    [multipart] = default["LifecycleConfiguration"]["Rules"]

    assert multipart["AbortIncompleteMultipartUpload"] == {
        "DaysAfterInitiation": {"Ref": "MultipartDays"}
    }
    assert "LoggingConfiguration" not in default
    [_, old] = chosen["LifecycleConfiguration"]["Rules"]
    assert old["NoncurrentVersionExpiration"] == {
        "NoncurrentDays": {"Ref": "OldVersionsDays"}
    }
    assert chosen["LoggingConfiguration"]["DestinationBucketName"] == {
        "Ref": "AccessLogBucketName"
    }


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        ("OldVersionsDays", "0", True),
        ("OldVersionsDays", "2", False),
        ("OldVersionsDays", "28", False),
        ("OldVersionsDays", "29", True),
        ("OldVersionsDays", "30", True),
        ("OldVersionsDays", "365", True),
        ("OldVersionsDays", "9999", True),
        ("OldVersionsDays", "10000", False),
        ("OldVersionsDays", "-1", False),
        ("KmsKeyArn", "", True),
        ("KmsKeyArn", "arn:aws:kms:eu-west-1:123456789012:key/mrk-12ab", True),
        ("KmsKeyArn", "arn:aws-cn:kms:cn-north-1:123456789012:key/12ab-34", True),
        ("KmsKeyArn", "arn:aws:kms:eu-west-1:123456789012:alias/mine", False),
        ("KmsKeyArn", "12ab-34", False),
        ("AccessLogBucketName", "", True),
        ("AccessLogBucketName", "my-logs.eu", True),
        ("AccessLogBucketName", "s3://my-logs", False),
    ],
)
def test_a_wrong_value_is_rejected_before_the_deployment(
    parameter: str, value: str, *, expected: bool
) -> None:
    """A version has to outlive 14 days on the queue and 14 more as a dead letter."""
    pattern = TEMPLATE["Parameters"][parameter]["AllowedPattern"]

    assert expected == bool(re.fullmatch(pattern, value))


# ---- the linters


def test_checkov_sees_every_resource_with_its_protections() -> None:
    """It reads a template without conditions, because it does not evaluate them."""
    protected = protected_template()
    unknown = {
        "AlarmsByMail",  # an address, without which it does not exist
        "ExistingBucketEvents",  # in place of the own bucket, which has more to check
    }

    assert set(protected["Resources"]) == set(TEMPLATE["Resources"]) - unknown
    assert "Fn::If" not in json.dumps(protected["Resources"])


def test_each_suppression_of_checkov_has_its_reason() -> None:
    """Beside the resource."""
    skips = [
        skip
        for resource in TEMPLATE["Resources"].values()
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", [])
    ]

    assert skips
    assert all(len(skip["comment"].split()) > 3 for skip in skips)
