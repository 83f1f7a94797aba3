"""What `wiring` makes of the clients of AWS and of the Tagger API."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from hangtag.adapters.aws_clients import client_config
from hangtag.adapters.s3_objects import S3Objects
from hangtag_cli.aws import Aws
from tests.builders import an_upload

# ---- presigned URLs


def link_to(bucket: str, *, region: str, endpoint: str | None = None) -> str:
    """A presigned URL of the function in *region*."""
    client = boto3.Session("key", "secret", region_name=region).client(
        "s3", config=client_config("s3"), endpoint_url=endpoint
    )
    return S3Objects(client, max_image_bytes=1).link(
        an_upload("a b.jpg", bucket=bucket), seconds=60
    )


@pytest.mark.parametrize(
    ("region", "domain"),
    [
        ("us-east-1", "amazonaws.com"),
        ("ap-northeast-2", "amazonaws.com"),
        ("ap-east-1", "amazonaws.com"),
        ("eu-central-2", "amazonaws.com"),
        ("us-gov-west-1", "amazonaws.com"),
        ("cn-north-1", "amazonaws.com.cn"),
    ],
)
def test_a_presigned_url_names_the_region_and_the_virtual_host(
    region: str, domain: str
) -> None:
    """The global endpoint refuses newer regions, and redirects for new buckets elsewhere."""
    link = urlsplit(link_to("uploads-example", region=region))

    signed = parse_qs(link.query)
    assert (link.scheme, link.netloc) == (
        "https",
        f"uploads-example.s3.{region}.{domain}",
    )
    assert link.path == "/a%20b.jpg"
    assert signed["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert signed["X-Amz-Credential"][0].split("/")[2:] == [
        region,
        "s3",
        "aws4_request",
    ]


@pytest.mark.parametrize("region", ["us-east-1", "ap-east-1"])
def test_the_presigned_url_of_a_bucket_with_dots_has_the_bucket_in_its_path(
    region: str,
) -> None:
    """The certificate of S3 covers one label before its name, so a virtual host would fail TLS."""
    link = urlsplit(link_to("uploads.shop.example", region=region))

    assert link.netloc == f"s3.{region}.amazonaws.com"
    assert link.path == "/uploads.shop.example/a%20b.jpg"


def test_an_endpoint_with_an_ip_address_has_the_bucket_in_the_path() -> None:
    """An address has no virtual hosts; the local cloud has one."""
    link = link_to("uploads-example", region="us-east-1", endpoint="http://127.0.0.1:1")

    assert link.startswith("http://127.0.0.1:1/uploads-example/a%20b.jpg?")


@pytest.mark.parametrize(
    "service", ["cloudformation", "dynamodb", "functions", "s3", "secrets", "sqs"]
)
def test_the_commands_use_the_endpoints_of_their_region(service: str) -> None:
    """In us-east-1, too, where botocore's default for S3 is the global endpoint."""
    client = getattr(Aws(region="us-east-1", endpoint_url=None), service)

    assert ".us-east-1.amazonaws.com" in client.meta.endpoint_url
