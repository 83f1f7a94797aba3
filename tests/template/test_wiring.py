"""The wiring in template.yaml is what the code assumes and the design promises."""

from __future__ import annotations

import json
import re
import tomllib
from graphlib import TopologicalSorter
from typing import Any

import pytest

from hangtag.breaker import RECONCILE_MINUTES
from hangtag.operators.replay import MAX_REPLAYS
from hangtag.operators.replay_request import ReplayRequest, read_request
from hangtag.settings import (
    ReplaySettings,
    TaggingSettings,
    read_tagger_api_url,
    variable_of,
)
from tests.builders import sample_event
from tests.template.cloudformation import ROOT, read_template, references

TEMPLATE = read_template()
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]

PARAMETERS = {
    "TaggerApiUrl": "https://api.omnious.com/tagger/v2.12/tags",
    "Language": "en",
    "Detection": "",
    "ImageTransport": "base64",
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
    "AutoReplaySchedule": "",
    "MemorySize": 512,
    "LogRetentionDays": 30,
    "PythonRuntime": "python3.13",
    "Architecture": "arm64",
}
"""People deploy with these names and rely on these defaults."""

OUTPUTS = {
    "UploadsBucketName",
    "UploadQueueUrl",
    "DeadLetterQueueUrl",
    "ResultsTableName",
    "ResultsTopicArn",
    "ApiKeySecretArn",
    "TagUploadsFunctionName",
    "ReplayFailuresFunctionName",
    "AlarmsTopicArn",
}


def properties(name: str) -> dict[str, Any]:
    """The properties of a resource."""
    found: dict[str, Any] = RESOURCES[name]["Properties"]
    return found


def test_parameters_and_their_defaults_are_those_people_rely_on() -> None:
    """A renamed parameter breaks every deployment script."""
    defaults = {
        name: definition["Default"]
        for name, definition in TEMPLATE["Parameters"].items()
    }

    assert PARAMETERS == defaults


def test_every_parameter_says_what_it_is_for() -> None:
    """The console shows nothing else."""
    silent = [
        name
        for name, definition in TEMPLATE["Parameters"].items()
        if not definition.get("Description")
    ]

    assert silent == []


def test_every_parameter_has_an_effect() -> None:
    """One that is not referred to promises what it does not keep."""
    used = set(references([RESOURCES, TEMPLATE["Conditions"]]))

    assert set(TEMPLATE["Parameters"]) - used == set()


def test_outputs_are_those_people_rely_on() -> None:
    """The command `hangtag` finds everything by them."""
    assert set(TEMPLATE["Outputs"]) == OUTPUTS


@pytest.mark.parametrize(
    ("parameter", "low", "high"),
    [
        ("MaxConcurrency", 2, 1000),
        ("MaxAttempts", 1, 100),
        ("RetryBaseSeconds", 0, 900),
        ("FunctionTimeout", 5, 900),
    ],
)
def test_small_values_deploy_and_run(parameter: str, low: int, high: int) -> None:
    """Tests and impatient people deploy with the smallest values."""
    definition = TEMPLATE["Parameters"][parameter]

    assert (definition["MinValue"], definition["MaxValue"]) == (low, high)


def test_the_function_gets_every_setting_it_reads_and_none_more() -> None:
    """A variable that is missing fails the first invocation; one too many is a lie."""
    variables = properties("TagUploads")["Environment"]["Variables"]
    given = {name for name in variables if name.startswith("HANGTAG_")}

    assert {variable_of(name) for name in TaggingSettings.model_fields} == given


def test_the_replay_gets_every_setting_it_reads_and_none_more() -> None:
    """It shares the core with the command, and needs neither the API nor its key."""
    variables = properties("ReplayFailures")["Environment"]["Variables"]
    given = {name for name in variables if name.startswith("HANGTAG_")}

    assert {variable_of(name) for name in ReplaySettings.model_fields} == given


def test_the_schedule_is_off_and_orders_what_may_go_better_later() -> None:
    """For nothing else is repeating it worth a bill; max-replays ends it after five times."""
    schedule = properties("AutoReplay")
    request = read_request(json.loads(schedule["Target"]["Input"]))

    assert RESOURCES["AutoReplay"]["Condition"] == "FailuresAreReplayed"
    assert RESOURCES["AutoReplayRole"]["Condition"] == "FailuresAreReplayed"
    assert TEMPLATE["Conditions"]["FailuresAreReplayed"] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "AutoReplaySchedule"}, ""]}]
    }
    assert request == ReplayRequest(kinds=["transient", "quota"], dryRun=False)
    assert request.limits().max_replays == MAX_REPLAYS


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
def test_a_schedule_is_checked_before_it_is_deployed(
    schedule: str, *, expected: bool
) -> None:
    """CloudFormation would say so late, and roll everything back."""
    pattern = TEMPLATE["Parameters"]["AutoReplaySchedule"]["AllowedPattern"]

    assert expected == bool(re.fullmatch(pattern, schedule))


def test_failed_messages_of_a_batch_are_reported_one_by_one() -> None:
    """Without it, one failure brings the whole batch back, paid again."""
    event = properties("TagUploads")["Events"]["Uploads"]["Properties"]

    assert event["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert event["Queue"] == {"Fn::GetAtt": ["UploadQueue", "Arn"]}


def test_the_cap_on_concurrency_is_the_parameter() -> None:
    """What the API takes at the same time follows from it."""
    event = properties("TagUploads")["Events"]["Uploads"]["Properties"]

    assert event["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "MaxConcurrency"}}


def test_the_function_publishes_to_no_topic_but_the_results() -> None:
    """Alarms are CloudWatch's."""
    statements = properties("TagUploadsRole")["Policies"][0]["PolicyDocument"][
        "Statement"
    ]

    assert [
        one["Resource"] for one in statements if one["Action"] == "sns:Publish"
    ] == [{"Ref": "ResultsTopic"}]


def test_the_queues_own_redrive_comes_after_the_functions_last_attempt() -> None:
    """What SQS moves has no code; the function must have had its chance."""
    redrive = properties("UploadQueue")["RedrivePolicy"]

    assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
    assert (
        redrive["maxReceiveCount"] > TEMPLATE["Parameters"]["MaxAttempts"]["MaxValue"]
    )


def test_a_message_stays_hidden_for_six_function_timeouts_by_default() -> None:
    """AWS's advice; with less, a message is delivered while it is still worked on."""
    least = 6 * PARAMETERS["FunctionTimeout"] + PARAMETERS["BatchingWindow"]  # type: ignore[operator]

    assert PARAMETERS["VisibilityTimeout"] >= least  # type: ignore[operator]


def test_a_message_and_its_failure_always_fit_into_the_dead_letter_queue() -> None:
    """Attributes count against the limit."""
    ours = properties("UploadQueue")["MaximumMessageSize"]
    theirs = properties("DeadLetterQueue")["MaximumMessageSize"]

    assert theirs - ours >= 64 * 1024


@pytest.mark.parametrize("queue", ["UploadQueue", "DeadLetterQueue"])
def test_queues_keep_messages_for_14_days(queue: str) -> None:
    """The longest SQS has: somebody may be on holiday."""
    assert properties(queue)["MessageRetentionPeriod"] == 14 * 24 * 60 * 60


@pytest.mark.parametrize(
    ("name", "everywhere"),
    [
        # AWS knows no narrower resource for listing mappings
        ("TagUploadsRole", ["lambda:ListEventSourceMappings"]),
        ("ReplayFailuresRole", []),
        ("AutoReplayRole", []),
    ],
)
def test_a_role_names_every_action_and_every_resource(
    name: str, everywhere: list[str]
) -> None:
    """Least privilege: no action of a whole service, nothing on everything."""
    role = properties(name)
    statements = [
        statement
        for policy in role["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    actions = {
        action
        for statement in statements
        for action in (
            statement["Action"]
            if isinstance(statement["Action"], list)
            else [statement["Action"]]
        )
    }

    assert everywhere == [one["Action"] for one in statements if one["Resource"] == "*"]
    # "...*" stands for ...Batch, which the local cloud wants named; AWS has no other such action
    assert {action for action in actions if "*" in action} <= {
        "sqs:ChangeMessageVisibility*"
    }
    assert "ManagedPolicyArns" not in role


def test_the_bucket_is_private_versioned_and_speaks_tls_only() -> None:
    """Pictures of an unpublished collection are nobody's business."""
    bucket = properties("UploadsBucket")
    [statement] = properties("UploadsBucketPolicy")["PolicyDocument"]["Statement"]

    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert "BucketName" not in bucket


def test_only_s3_for_this_accounts_bucket_may_send_to_the_upload_queue() -> None:
    """Everybody else's message would be a paid call."""
    [statement] = properties("UploadQueuePolicy")["PolicyDocument"]["Statement"]

    assert statement["Principal"] == {"Service": "s3.amazonaws.com"}
    assert statement["Condition"]["StringEquals"] == {
        "aws:SourceAccount": {"Ref": "AWS::AccountId"}
    }
    assert "uploadsbucket" in str(statement["Condition"]["ArnLike"])


def test_the_bucket_waits_for_the_permission_to_notify() -> None:
    """S3 tries the queue when the notification is made."""
    assert RESOURCES["UploadsBucket"]["DependsOn"] == "UploadQueuePolicy"


def test_no_resource_depends_on_itself() -> None:
    """CloudFormation refuses cycles, but only when it is asked."""
    graph = {
        name: {
            *(found for found in references(resource) if found in RESOURCES),
            *([resource["DependsOn"]] if "DependsOn" in resource else []),
        }
        for name, resource in RESOURCES.items()
    }

    order = list(TopologicalSorter(graph).static_order())

    assert set(RESOURCES) == set(order)


@pytest.mark.parametrize("layer", ["DependenciesLayer", "CoreLayer"])
def test_layers_follow_the_runtime_and_the_architecture(layer: str) -> None:
    """Two parameters steer the build, the deployment and the function."""
    metadata = RESOURCES[layer]["Metadata"]

    assert metadata["BuildMethod"] == {"Ref": "PythonRuntime"}
    assert metadata["BuildArchitecture"] == {"Ref": "Architecture"}
    assert properties("TagUploads")["Runtime"] == {"Ref": "PythonRuntime"}
    assert properties("TagUploads")["Architectures"] == [{"Ref": "Architecture"}]


@pytest.mark.parametrize("environment", ["default", "local", "prod"])
def test_build_and_deploy_of_an_environment_get_the_same_runtime(
    environment: str,
) -> None:
    """Else the function gets the packages of another Python."""
    config = tomllib.loads((ROOT / "samconfig.toml").read_text("utf-8"))[environment]
    overrides = config["global"]["parameters"]["parameter_overrides"]

    assert re.fullmatch(
        r"PythonRuntime=python3\.\d\d Architecture=(arm64|x86_64)", overrides
    )
    assert "parameter_overrides" not in config["build"]["parameters"]
    assert "parameter_overrides" not in config["deploy"]["parameters"]


@pytest.mark.parametrize(
    "url",
    [
        "https://api.omnious.com/tagger/v2.12/tags",
        "https://tagger.example:8443/tags?x=1",
        "http://127.0.0.1:8080/tagger/v2.12/tags",
        "http://127.5.6.7/tags",
        "http://localhost:1/tags",
        "http://[::1]:8080/tags",
        "https://api.omnious.com",
    ],
)
def test_good_urls_pass_the_template_and_the_settings(url: str) -> None:
    """Both judge alike."""
    assert re.fullmatch(TEMPLATE["Parameters"]["TaggerApiUrl"]["AllowedPattern"], url)
    assert url == read_tagger_api_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.omnious.com/tags",
        "http://api.omnious.com/tagger/v2.12/tags",
        "http://127.0.0.1.evil.example/tags",
        "http://localhost@evil.example/tags",
        "http://127.0.0.1:80@evil.example/tags",
        "http://localhost.evil.example/tags",
        "http://10.0.0.1/tags",
        "ftp://127.0.0.1/tags",
        "https://",
        "https:///tags",
        "https://api.omnious.com/ta gs",
        "https://api.omnious.com/tags\n",
        "http://127.0.0.1#@evil.example/",
    ],
)
def test_bad_urls_pass_neither(url: str) -> None:
    """The key would go there."""
    pattern = TEMPLATE["Parameters"]["TaggerApiUrl"]["AllowedPattern"]

    assert re.fullmatch(pattern, url) is None
    with pytest.raises(ValueError, match="https://"):
        read_tagger_api_url(url)


def test_the_function_may_switch_no_other_functions_mappings() -> None:
    """The name of what is made after the role is not known; its pattern is."""
    [statement] = [
        one
        for one in properties("TagUploadsRole")["Policies"][0]["PolicyDocument"][
            "Statement"
        ]
        if one["Action"] == "lambda:UpdateEventSourceMapping"
    ]

    [allowed] = statement["Condition"]["ArnLike"].values()
    assert "function:${AWS::StackName}-TagUploads-*" in allowed["Fn::Sub"]


def test_the_schedule_runs_as_often_as_the_status_says() -> None:
    """Operators plan by it."""
    schedule = properties("TagUploads")["Events"]["TryAgain"]["Properties"]

    assert schedule["ScheduleExpression"] == f"rate({RECONCILE_MINUTES} minutes)"
    assert json.loads(schedule["Input"]) == sample_event("try-again")


def test_two_stacks_of_an_account_do_not_meet_at_a_schedules_name() -> None:
    """SAM gives a schedule a name without the stack's in it, unless it is told not to."""
    schedules = [
        event["Properties"]
        for resource in RESOURCES.values()
        for event in resource.get("Properties", {}).get("Events", {}).values()
        if event["Type"] == "ScheduleV2"
    ]

    assert schedules
    assert all(one.get("OmitName") is True for one in schedules)
