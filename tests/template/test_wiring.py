"""The wiring in template.yaml matches the code and the design."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import fields
from fnmatch import fnmatchcase
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

from hangtag.breaker import RECONCILE_MINUTES
from hangtag.index_wiring import TIMEOUT_SECONDS
from hangtag.operators.replay import MAX_REPLAYS
from hangtag.operators.replay_request import (
    LONGEST_SECONDS,
    ReplayRequest,
    read_request,
)
from hangtag.settings import (
    IndexSettings,
    ReplaySettings,
    TaggingSettings,
    variable_of,
)
from tests.builders import sample_event, stream_record
from tests.template.cloudformation import (
    ROOT,
    Deployment,
    policy_statements,
    read_template,
    references,
)

TEMPLATE = read_template()
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]

PARAMETERS = {
    "TaggerApiUrl": "https://api.omnious.com/tagger/v2.12/tags",
    "Language": "en",
    "Detection": "",
    "ImageTransport": "base64",
    "MinConfidence": 0,
    "BatchSize": 10,
    "BatchingWindow": 0,
    "MaxConcurrency": 5,
    "MaxRequestsPerSecond": 0,
    "MaxAttempts": 5,
    "RetryBaseSeconds": 10,
    "MaxImageBytes": str(20 * 1024 * 1024),
    "FunctionTimeout": 60,
    "VisibilityTimeout": 390,
    "AlarmEmail": "",
    "ApiCallsPerDayAlarm": 10_000,
    "AutoReplaySchedule": "",
    "ExistingBucketName": "",
    "UploadPrefix": "",
    "UploadSuffixes": "",
    "OldVersionsDays": "0",
    "MultipartDays": 7,
    "AccessLogBucketName": "",
    "ResultsTtlDays": 0,
    "DeletionProtection": "false",
    "KmsKeyArn": "",
    "MemorySize": 512,
    "EphemeralStorage": 512,
    "LogRetentionDays": 30,
    "PythonRuntime": "python3.13",
    "Architecture": "arm64",
}
"""The parameters and their defaults: a public interface."""

OUTPUTS = {
    "UploadsBucketName",
    "UploadQueueUrl",
    "DeadLetterQueueUrl",
    "ResultsTableName",
    "LargeResultsBucketName",
    "IndexTableName",
    "ResultsTopicArn",
    "ApiKeySecretArn",
    "TagUploadsFunctionName",
    "ReplayFailuresFunctionName",
    "IndexResultsFunctionName",
    "AlarmsTopicArn",
}


def properties(name: str) -> dict[str, Any]:
    """Return the properties of a resource."""
    found: dict[str, Any] = RESOURCES[name]["Properties"]
    return found


def test_parameters_and_their_defaults_do_not_change() -> None:
    """A renamed parameter breaks deployment scripts."""
    defaults = {
        name: definition["Default"]
        for name, definition in TEMPLATE["Parameters"].items()
    }

    assert PARAMETERS == defaults


def test_every_parameter_has_a_description() -> None:
    """The console shows only the description."""
    undescribed = [
        name
        for name, definition in TEMPLATE["Parameters"].items()
        if not definition.get("Description")
    ]

    assert undescribed == []


def test_every_parameter_is_used() -> None:
    """A parameter without a reference would have no effect."""
    used = set(references([RESOURCES, TEMPLATE["Conditions"]]))

    assert set(TEMPLATE["Parameters"]) - used == set()


def test_outputs_do_not_change() -> None:
    """The command `hangtag` finds the stack's resources by its outputs."""
    assert set(TEMPLATE["Outputs"]) == OUTPUTS


@pytest.mark.parametrize(
    ("parameter", "low", "high"),
    [
        ("MaxConcurrency", 2, 1000),
        ("MaxAttempts", 1, 100),
        ("RetryBaseSeconds", 0, 900),
        ("FunctionTimeout", 5, 900),
        ("MinConfidence", 0, 1),
    ],
)
def test_parameters_allow_small_values(parameter: str, low: int, high: int) -> None:
    """Tests deploy with the smallest values."""
    definition = TEMPLATE["Parameters"][parameter]

    assert (definition["MinValue"], definition["MaxValue"]) == (low, high)


def test_the_function_gets_exactly_the_settings_it_reads() -> None:
    """A missing variable fails the first invocation; an extra one has no effect."""
    variables = properties("TagUploads")["Environment"]["Variables"]
    given = {name for name in variables if name.startswith("HANGTAG_")}

    assert {variable_of(one.name) for one in fields(TaggingSettings)} == given


def test_the_replay_function_gets_exactly_the_settings_it_reads() -> None:
    """A replay needs neither the API nor its key."""
    variables = properties("ReplayFailures")["Environment"]["Variables"]
    given = {name for name in variables if name.startswith("HANGTAG_")}

    assert {variable_of(one.name) for one in fields(ReplaySettings)} == given


def test_the_index_function_gets_exactly_the_settings_it_reads() -> None:
    """It needs neither the API nor the uploads."""
    variables = properties("IndexResults")["Environment"]["Variables"]
    given = {name for name in variables if name.startswith("HANGTAG_")}

    assert {variable_of(one.name) for one in fields(IndexSettings)} == given
    assert properties("IndexResults")["Timeout"] == TIMEOUT_SECONDS


def test_the_stream_has_the_items_before_and_after_a_change() -> None:
    """The entries to remove are those of the item before."""
    stream = properties("ResultsTable")["StreamSpecification"]
    changes = properties("IndexResults")["Events"]["Changes"]["Properties"]

    assert stream == {"StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert changes["Stream"] == {"Fn::GetAtt": ["ResultsTable", "StreamArn"]}
    assert changes["StartingPosition"] == "TRIM_HORIZON"


def test_a_change_that_fails_for_good_is_reported_before_the_stream_drops_it() -> None:
    """The stream keeps a change for 24 hours, and drops it silently."""
    changes = properties("IndexResults")["Events"]["Changes"]["Properties"]

    assert changes["BisectBatchOnFunctionError"] is True
    assert "MaximumRetryAttempts" not in changes  # an outage must not use them up
    assert 3_600 <= changes["MaximumRecordAgeInSeconds"] <= 43_200
    assert changes["DestinationConfig"]["OnFailure"] == {
        "Type": "SQS",
        "Destination": {"Fn::GetAtt": ["IndexFailuresQueue", "Arn"]},
    }
    assert "FunctionResponseTypes" not in changes


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (stream_record(version="result", new={"result": {"M": {}}}), True),
        (stream_record(version="result", old={"result": {"M": {}}}), True),
        (stream_record(version="version:1", new={"status": {"S": "FAILED"}}), True),
        (stream_record(version="version:1", new={"status": {"S": "OPEN"}}), False),
        (stream_record(version="version:1", new={"status": {"S": "TAGGED"}}), False),
        (stream_record(version="version:1", old={"status": {"S": "FAILED"}}), False),
        (stream_record(version="state", new={"failures": {"N": "1"}}), False),
    ],
    ids=["result", "removal", "failed", "claim", "tagged", "deleted", "breaker"],
)
def test_results_and_failures_invoke_the_index_function(
    change: dict[str, Any], *, expected: bool
) -> None:
    """One of the patterns has to match; an upload writes its record twice beside its result."""
    changes = properties("IndexResults")["Events"]["Changes"]["Properties"]
    patterns = [
        json.loads(one["Pattern"]) for one in changes["FilterCriteria"]["Filters"]
    ]

    assert any(matches(change, pattern) for pattern in patterns) is expected


def matches(value: Any, pattern: Any) -> bool:  # noqa: ANN401 - JSON
    """Whether a record matches a pattern of Lambda, which here lists values."""
    if isinstance(pattern, list):
        return value in pattern
    return isinstance(value, dict) and all(
        matches(value.get(name), part) for name, part in pattern.items()
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0", True), ("0.35", True), ("1", True), ("1.01", False), ("-0.1", False)],
)
def test_the_least_confidence_is_a_number_from_0_to_1(
    value: str, *, expected: bool
) -> None:
    """CloudFormation compares it with the bounds."""
    parameter = TEMPLATE["Parameters"]["MinConfidence"]

    assert parameter["Type"] == "Number"
    assert (parameter["MinValue"] <= float(value) <= parameter["MaxValue"]) is expected


def test_the_replay_schedule_is_optional_and_replays_transient_and_quota() -> None:
    """Other failures would fail again and be billed; each upload is replayed five times at most."""
    schedule = properties("AutoReplay")
    request = read_request(json.loads(schedule["Target"]["Input"]))

    assert RESOURCES["AutoReplay"]["Condition"] == "HasAutoReplaySchedule"
    assert RESOURCES["AutoReplayRole"]["Condition"] == "HasAutoReplaySchedule"
    assert TEMPLATE["Conditions"]["HasAutoReplaySchedule"] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "AutoReplaySchedule"}, ""]}]
    }
    assert request == ReplayRequest(
        kinds=["transient", "quota"], maxSeconds=LONGEST_SECONDS, dryRun=False
    )
    assert request.limits().max_replays == MAX_REPLAYS


def test_a_replay_may_last_as_long_as_its_function() -> None:
    """A request for a longer run is invalid, one for a shorter run has time for its report."""
    assert properties("ReplayFailures")["Timeout"] == LONGEST_SECONDS


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("", True),
        ("rate(6 hours)", True),
        ("cron(0 3 * * ? *)", True),
        ("6 hours", False),
        ("rate(6 hours) ", False),
    ],
)
def test_an_invalid_schedule_is_rejected_before_the_deployment(
    schedule: str, *, expected: bool
) -> None:
    """EventBridge would reject it during the deployment, which is then rolled back."""
    pattern = TEMPLATE["Parameters"]["AutoReplaySchedule"]["AllowedPattern"]

    assert expected == bool(re.fullmatch(pattern, schedule))


def test_failed_messages_of_a_batch_are_reported_one_by_one() -> None:
    """Otherwise one failure returns the whole batch, and its calls are billed again."""
    event = properties("TagUploads")["Events"]["Uploads"]["Properties"]

    assert event["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert event["Queue"] == {"Fn::GetAtt": ["UploadQueue", "Arn"]}


def test_max_concurrency_limits_the_event_source_mapping() -> None:
    """It also limits the concurrent API calls."""
    event = properties("TagUploads")["Events"]["Uploads"]["Properties"]

    assert event["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "MaxConcurrency"}}


def test_the_function_may_publish_only_to_the_results_topic() -> None:
    """CloudWatch publishes the alarms."""
    statements = properties("TagUploadsRole")["Policies"][0]["PolicyDocument"][
        "Statement"
    ]

    assert [
        one["Resource"] for one in statements if one["Action"] == "sns:Publish"
    ] == [{"Ref": "ResultsTopic"}]


def test_sqs_moves_a_message_only_after_the_functions_last_attempt() -> None:
    """A message moved by SQS has no error code; one dead-lettered by the function has."""
    redrive = properties("UploadQueue")["RedrivePolicy"]

    assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
    assert (
        redrive["maxReceiveCount"] > TEMPLATE["Parameters"]["MaxAttempts"]["MaxValue"]
    )


def test_a_message_stays_hidden_for_six_function_timeouts_by_default() -> None:
    """AWS recommends it; with less, a message is delivered again during its processing."""
    least = 6 * PARAMETERS["FunctionTimeout"] + PARAMETERS["BatchingWindow"]  # type: ignore[operator]

    assert PARAMETERS["VisibilityTimeout"] >= least  # type: ignore[operator]


@pytest.mark.parametrize(
    ("partition", "most"),
    [("aws", 1024 * 1024), ("aws-cn", 256 * 1024), ("aws-us-gov", 256 * 1024)],
)
def test_a_message_and_its_failure_always_fit_into_the_dead_letter_queue(
    partition: str, most: int
) -> None:
    """Message attributes count towards the size limit, which is lower in other partitions."""
    ours, theirs = (
        Deployment(TEMPLATE, partition).resolved(
            properties(queue)["MaximumMessageSize"]
        )
        for queue in ("UploadQueue", "DeadLetterQueue")
    )

    assert theirs <= most
    assert theirs - ours >= 64 * 1024


@pytest.mark.parametrize("queue", ["UploadQueue", "DeadLetterQueue"])
def test_queues_keep_messages_for_14_days(queue: str) -> None:
    """14 days is the maximum of SQS."""
    assert properties(queue)["MessageRetentionPeriod"] == 14 * 24 * 60 * 60


def test_the_bucket_is_private_and_versioned_and_requires_tls() -> None:
    """Images of an unpublished collection are confidential."""
    bucket = properties("UploadsBucket")
    [statement] = properties("UploadsBucketPolicy")["PolicyDocument"]["Statement"]

    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert "BucketName" not in bucket


def test_the_bucket_of_large_results_is_private_and_notifies_nobody() -> None:
    """A result must not be taken for an upload; deleted ones stay as long as the backups."""
    bucket = properties("LargeResultsBucket")
    [deleted, _] = bucket["LifecycleConfiguration"]["Rules"]
    [statement] = senders("UploadQueuePolicy")
    [arn] = statement["Condition"]["ArnLike"].values()

    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert "NotificationConfiguration" not in bucket
    assert not fnmatchcase(
        "arn:aws:s3:::stack-largeresultsbucket-1a2b3c4d5e6f7",
        arn["Fn::Sub"].replace("${AWS::Partition}", "aws"),
    )
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert deleted["NoncurrentVersionExpiration"] == {"NoncurrentDays": 35}
    assert "BucketName" not in bucket


def test_the_table_deletes_expired_items_and_can_be_protected() -> None:
    """Time to live is always on: without ResultsTtlDays, results have no time."""
    protecting = Deployment(TEMPLATE, parameters={"DeletionProtection": "true"})
    table = properties("ResultsTable")

    assert table["TimeToLiveSpecification"] == {
        "AttributeName": "expiresAt",
        "Enabled": True,
    }
    for deployment, expected in ((Deployment(TEMPLATE), False), (protecting, True)):
        own = deployment.resources()["ResultsTable"]["Properties"]
        assert own["DeletionProtectionEnabled"] is expected


def senders(policy: str, **parameters: str) -> list[dict[str, Any]]:
    """The statements by which a queue's policy admits senders."""
    deployed = Deployment(TEMPLATE, parameters=parameters).resources()[policy]
    statements = deployed["Properties"]["PolicyDocument"]["Statement"]
    return [one for one in statements if one["Effect"] == "Allow"]


def test_only_s3_for_this_accounts_bucket_may_send_to_the_upload_queue() -> None:
    """Messages from other senders would cause paid calls."""
    [statement] = senders("UploadQueuePolicy")

    assert statement["Principal"] == {"Service": "s3.amazonaws.com"}
    assert statement["Condition"]["StringEquals"] == {
        "aws:SourceAccount": {"Ref": "AWS::AccountId"}
    }
    assert "uploadsbucket" in str(statement["Condition"]["ArnLike"])


def test_the_queue_policy_is_created_before_the_bucket() -> None:
    """S3 sends a test message when the notification is created."""
    assert RESOURCES["UploadsBucket"]["DependsOn"] == "UploadQueuePolicy"


def test_resources_have_no_circular_dependencies() -> None:
    """CloudFormation would reject them only at deployment."""
    made_by_sam = {"TagUploadsUploads": "TagUploads"}
    graph = {
        name: {
            *(
                found
                for one in references(resource)
                if (found := made_by_sam.get(one, one)) in RESOURCES
            ),
            *([resource["DependsOn"]] if "DependsOn" in resource else []),
        }
        for name, resource in RESOURCES.items()
    }

    sorted_names = list(TopologicalSorter(graph).static_order())

    assert set(RESOURCES) == set(sorted_names)


@pytest.mark.parametrize("layer", ["DependenciesLayer", "CoreLayer"])
def test_layers_and_function_use_the_runtime_and_the_architecture(layer: str) -> None:
    """Two parameters control the build, the deployment and the function."""
    metadata = RESOURCES[layer]["Metadata"]

    assert metadata["BuildMethod"] == "makefile"
    assert metadata["ContextPath"] == {
        "Fn::Sub": "layers/runtimes/${PythonRuntime}/${Architecture}"
    }
    assert metadata["BuildArchitecture"] == {"Ref": "Architecture"}
    assert properties("TagUploads")["Runtime"] == {"Ref": "PythonRuntime"}
    assert properties("TagUploads")["Architectures"] == [{"Ref": "Architecture"}]


def test_each_runtime_and_architecture_has_its_makefile() -> None:
    """Make gets no parameters from `sam build`: the folder of its Makefile carries them."""
    folder = ROOT / "layers/runtimes"
    machines = {"arm64": "aarch64", "x86_64": "x86_64"}
    parameters = TEMPLATE["Parameters"]

    assert set(machines) == set(parameters["Architecture"]["AllowedValues"])
    assert {
        path.relative_to(folder): path.read_text("utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    } == {
        Path(runtime, architecture, "Makefile"): (
            f"RUNTIME := {runtime}\nMACHINE := {machine}\ninclude layer.mk\n"
        )
        for runtime in parameters["PythonRuntime"]["AllowedValues"]
        for architecture, machine in machines.items()
    }


@pytest.mark.parametrize("environment", ["default", "local", "prod"])
def test_build_and_deploy_of_an_environment_get_the_same_runtime(
    environment: str,
) -> None:
    """Otherwise the function gets packages for another Python."""
    config = tomllib.loads((ROOT / "samconfig.toml").read_text("utf-8"))[environment]
    overrides = config["global"]["parameters"]["parameter_overrides"]

    assert re.fullmatch(
        r"PythonRuntime=python3\.\d\d Architecture=(arm64|x86_64)",
        overrides.removesuffix(" DeletionProtection=true"),
    )
    assert ("DeletionProtection" in overrides) == (environment == "prod")
    assert "parameter_overrides" not in config["build"]["parameters"]
    assert "parameter_overrides" not in config["deploy"]["parameters"]


def test_the_function_may_update_only_its_own_event_source_mapping() -> None:
    """SAM names the mapping after the function and its event."""
    policy = properties("SwitchPolicy")
    [statement] = policy["PolicyDocument"]["Statement"]

    assert policy["Roles"] == [{"Ref": "TagUploadsRole"}]
    assert statement["Action"] == "lambda:UpdateEventSourceMapping"
    assert statement["Resource"]["Fn::Sub"].endswith(
        ":event-source-mapping:${TagUploadsUploads}"
    )
    assert "Uploads" in properties("TagUploads")["Events"]


def test_no_policy_depends_on_the_stack_name() -> None:
    """CloudFormation shortens a long stack name in the names that it generates."""
    depending = [
        name
        for name, statement in policy_statements(TEMPLATE)
        if "AWS::StackName" in references(statement)
    ]

    assert depending == []


@pytest.mark.parametrize("length", [1, 35, 36, 128])
def test_the_queue_admits_the_bucket_of_a_stack_with_any_name(length: int) -> None:
    """CloudFormation shortens the stack's name: a logical id keeps at least 24 of 63 letters."""
    [statement] = senders("UploadQueuePolicy")
    [arn] = statement["Condition"]["ArnLike"].values()
    pattern = arn["Fn::Sub"].rpartition(":")[2]
    logical_id = "uploadsbucket"[:24]
    stack = ("s" * length)[: 48 - len(logical_id)]

    assert fnmatchcase(f"{stack}-{logical_id}-1a2b3c4d5e6f7", pattern)


def test_no_text_with_the_stack_name_is_too_long() -> None:
    """A stack's name has up to 128 letters, a topic's display name up to 100."""
    for name, resource in RESOURCES.items():
        if resource["Type"] == "AWS::SNS::Topic":
            shown = resource.get("Properties", {}).get("DisplayName", "")
            assert set(references(shown)) == set(), name


def test_the_reconcile_schedule_has_the_documented_rate() -> None:
    """`hangtag status` shows this rate to operators."""
    schedule = properties("Reconcile")

    assert schedule["ScheduleExpression"] == f"rate({RECONCILE_MINUTES} minutes)"
    assert json.loads(schedule["Target"]["Input"]) == sample_event("try-again")
    assert schedule["Target"]["Arn"] == {"Fn::GetAtt": ["TagUploads", "Arn"]}


def test_schedules_of_two_stacks_in_an_account_have_different_names() -> None:
    """CloudFormation generates the names; SAM's own would not contain the stack's name."""
    schedules = [
        resource
        for resource in RESOURCES.values()
        if resource["Type"] == "AWS::Scheduler::Schedule"
    ]
    events = [
        event["Type"]
        for resource in RESOURCES.values()
        for event in resource.get("Properties", {}).get("Events", {}).values()
    ]

    assert len(schedules) == 2
    assert all("Name" not in one["Properties"] for one in schedules)
    assert "Schedule" not in str(events)


def test_only_schedules_of_this_account_may_use_a_schedules_role() -> None:
    """Each schedule has its own role, which may invoke one function."""
    schedules = [
        resource["Properties"]["Target"]
        for resource in RESOURCES.values()
        if resource["Type"] == "AWS::Scheduler::Schedule"
    ]
    for target in schedules:
        role = properties(target["RoleArn"]["Fn::GetAtt"][0])
        [trust] = role["AssumeRolePolicyDocument"]["Statement"]
        [policy] = role["Policies"]
        [statement] = policy["PolicyDocument"]["Statement"]

        assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
        assert trust["Condition"] == {
            "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
        }
        assert statement["Action"] == "lambda:InvokeFunction"
        assert statement["Resource"] == target["Arn"]


ATTACHED_TO = {
    "AWS::S3::BucketPolicy": "Bucket",
    "AWS::SQS::QueuePolicy": "Queues",
    "AWS::SNS::TopicPolicy": "Topics",
}
"""The property that names what a policy protects, by type; a role's policy protects no data."""


def test_what_protects_a_kept_resource_is_kept_with_it() -> None:
    """After `sam delete` a bucket without its policy would take plain HTTP."""
    kept = ("DeletionPolicy", "UpdateReplacePolicy")
    protected = set()
    for name, resource in RESOURCES.items():
        if resource["Type"].endswith("Policy") and "::IAM::" not in resource["Type"]:
            attached = resource["Properties"][ATTACHED_TO[resource["Type"]]]
            for target in references(attached):
                for policy in kept:
                    if "Retain" in RESOURCES[target].get(policy, ""):
                        assert resource.get(policy) == RESOURCES[target][policy], name
                        protected.add(target)

    assert protected == {"UploadsBucket", "DeadLetterQueue", "LargeResultsBucket"}


def with_defaults(value: Any) -> Any:  # noqa: ANN401 - as in the template
    """The value with the defaults of the parameters that it refers to."""
    match value:
        case {"Ref": str(name)} if name in TEMPLATE["Parameters"]:
            return TEMPLATE["Parameters"][name]["Default"]
        case dict():
            return {name: with_defaults(part) for name, part in value.items()}
        case list():
            return [with_defaults(part) for part in value]
        case _:
            return value


def test_the_template_for_imports_has_what_stays_after_the_stack() -> None:
    """It describes them as template.yaml does, without what is deleted with the stack."""
    kept = {
        name: {part: own for part, own in resource.items() if part != "Condition"}
        for name, resource in with_defaults(Deployment(TEMPLATE).resources()).items()
        if resource.get("DeletionPolicy") == "RetainExceptOnCreate"
    }
    bucket = kept["UploadsBucket"]
    del bucket["DependsOn"]
    bucket["Properties"] = {
        name: value
        for name, value in bucket["Properties"].items()
        if name != "NotificationConfiguration"
    }

    assert read_template(ROOT / "docs/kept-resources.yaml")["Resources"] == kept


def test_a_function_timeout_above_the_visibility_timeout_is_documented() -> None:
    """CloudFormation's rules cannot compare numbers; Lambda refuses to create the mapping."""
    descriptions = TEMPLATE["Parameters"]

    assert "VisibilityTimeout" in descriptions["FunctionTimeout"]["Description"]
    assert "FunctionTimeout" in descriptions["VisibilityTimeout"]["Description"]
