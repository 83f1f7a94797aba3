"""The template and the settings accept the same URLs of the Tagger API."""

from __future__ import annotations

import re

import pytest

from hangtag.settings import read_tagger_api_url
from tests.template.cloudformation import read_template

PATTERN = read_template()["Parameters"]["TaggerApiUrl"]["AllowedPattern"]


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
def test_the_template_and_the_settings_accept_valid_urls(url: str) -> None:
    """Both apply the same rules."""
    assert re.fullmatch(PATTERN, url)
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
        "https://user:password@api.omnious.com/tags",
        "https://api.omnious.com@evil.example/tags",
        "https://evil.example\\@api.omnious.com/tags",
        "https://api.omnious.com/\x1b[2Jtags",
        "https://api.omnious.com/\u202etags",
        "https://\u0430pi.omnious.com/tags",
    ],
)
def test_the_template_and_the_settings_reject_invalid_urls(url: str) -> None:
    """The function would send the API key there."""
    assert re.fullmatch(PATTERN, url) is None
    with pytest.raises(ValueError, match="https://"):
        read_tagger_api_url(url)
