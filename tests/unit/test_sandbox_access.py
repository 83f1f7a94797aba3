"""Which requests the sandbox accepts, by Host, Origin and the control token."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from hangtag_sandbox import create_app
from hangtag_sandbox.access import Access, UnsafeStart, access_for

TOKEN = "token-of-the-tests"
PATHS = [
    ("POST", "/tagger/v2.12/tags"),
    ("GET", "/"),
    ("POST", "/"),
    ("GET", "/openapi.json"),
    ("GET", "/healthz"),
    ("GET", "/nowhere"),
    ("GET", "/sandbox/calls"),
    ("DELETE", "/sandbox/calls"),
    ("GET", "/sandbox/faults"),
    ("POST", "/sandbox/faults"),
    ("DELETE", "/sandbox/faults"),
    ("DELETE", f"/sandbox/faults/{'0' * 64}"),
    ("GET", "/sandbox/quota"),
    ("PUT", "/sandbox/quota"),
    ("PUT", "/sandbox/keys"),
]
CONTROL = [(method, path) for method, path in PATHS if path.startswith("/sandbox/")]


def ask(
    method: str = "GET",
    path: str = "/healthz",
    *,
    port: int = 8080,
    access: Access | None = None,
    **headers: Any,  # noqa: ANN401  text or None
) -> TestResponse:
    """
    The response of a sandbox on this port, by default to a program on this machine.

    Underscores in names of headers are hyphens; None leaves a header out.
    """
    given: dict[str, Any] = {
        "Host": "127.0.0.1:8080",
        "Authorization": f"Bearer {TOKEN}",
        "Content-Type": "application/json",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    environ = {"SERVER_PORT": str(port)}
    host = given.pop("Host")
    if host is not None:
        environ["HTTP_HOST"] = host
    client = Client(create_app(["a-key"], access=access or Access(TOKEN)))
    return client.open(
        path,
        method=method,
        headers={name: value for name, value in given.items() if value is not None},
        environ_overrides=environ if host is not None else environ | {"HTTP_HOST": ""},
    )


def is_foreign(response: TestResponse) -> bool:
    """Whether the sandbox refused a request of another site."""
    return response.status_code == 403 and response.get_json()["error"]["code"] == 623


def accepted(**headers: Any) -> list[tuple[str, str]]:  # noqa: ANN401  text or None
    """The methods and paths that accept a request with these headers."""
    return [each for each in PATHS if not is_foreign(ask(*each, **headers))]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8080",
        "127.8.8.8:8080",
        "localhost:8080",
        "LOCALHOST:8080",
        "[::1]:8080",
    ],
)
def test_a_name_of_loopback_is_accepted(host: str) -> None:
    """Programs on this machine use one of them."""
    assert ask(Host=host).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "rebinding.example:8080",
        "rebinding.example",
        "127.0.0.1.rebinding.example:8080",
        "localhost.rebinding.example:8080",
        "localhost.:8080",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.1:8081",
        "127.0.0.1:8080,rebinding.example",
        "127.0.0.1:8080@rebinding.example",
        "0.0.0.0:8080",
        "192.168.0.1:8080",
        "2130706433:8080",
        "[::1%lo]:8080",
        "[::ffff:192.168.0.1]:8080",
        "[",
        "",
        None,
    ],
)
def test_any_other_host_is_refused(host: str | None) -> None:
    """A page whose name points to loopback (DNS rebinding) keeps its name in Host."""
    assert accepted(Host=host) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://attacker.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://localhost:8080"},
        {"Origin": "https://127.0.0.1:8080"},
        {"Origin": "http://127.0.0.1:8080.attacker.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "http://127.0.0.1:8080", "Sec_Fetch_Site": "cross-site"},
    ],
)
def test_a_page_of_another_site_is_refused(headers: dict[str, Any]) -> None:
    """Forms, fetch without CORS, images, frames and WebSockets all carry one of these headers."""
    assert accepted(**headers) == []


def test_a_page_of_the_sandbox_is_accepted() -> None:
    """Its form has its own origin."""
    own: dict[str, Any] = {
        "Origin": "http://127.0.0.1:8080",
        "Sec_Fetch_Site": "same-origin",
    }

    assert ask(**own).status_code == 200
    assert ask(Sec_Fetch_Site="none").status_code == 200


@pytest.mark.parametrize(("method", "path"), CONTROL)
@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN.upper()}",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer café",
    ],
)
def test_a_control_request_needs_the_token(
    method: str, path: str, given: str | None
) -> None:
    """Another user of this machine can neither read the calls nor change anything."""
    response = ask(method, path, Authorization=given)

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert "control token" in response.get_json()["error"]


def test_a_token_in_the_url_does_not_count() -> None:
    """URLs end up in logs and histories."""
    for name in ("token", "access_token", "authorization"):
        response = ask("GET", f"/sandbox/calls?{name}={TOKEN}", Authorization=None)

        assert response.status_code == 401


@pytest.mark.parametrize(("method", "path"), CONTROL)
def test_a_sandbox_without_a_token_cannot_be_controlled(method: str, path: str) -> None:
    """An empty token is none."""
    for given in (None, "Bearer", "Bearer ", "Bearer None"):
        response = ask(method, path, access=Access(), Authorization=given)

        assert response.status_code == 401


@pytest.mark.parametrize(
    ("method", "path"), [each for each in CONTROL if each[0] in ("POST", "PUT")]
)
@pytest.mark.parametrize(
    "kind",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
    ],
)
def test_a_control_request_with_another_body_than_json_is_refused(
    method: str, path: str, kind: str | None
) -> None:
    """A browser sends the other types across sites without asking."""
    assert ask(method, path, Content_Type=kind).status_code == 415


def test_the_other_paths_need_no_token() -> None:
    """The API has its key; the page, the description and the health change nothing."""
    for path in ("/", "/openapi.json", "/healthz"):
        assert ask("GET", path, Authorization=None).status_code == 200


def test_the_page_does_not_contain_the_token() -> None:
    """Every user of this machine can read the page."""
    assert TOKEN not in ask("GET", "/").get_data(as_text=True)


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_every_response_has_the_headers_that_protect_it_from_other_sites(
    method: str, path: str
) -> None:
    """It is no script, image or frame of another site, and its type is not guessed."""
    for response in (ask(method, path), ask(method, path, Host="a.example")):
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert response.headers["Referrer-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in response.headers


def test_the_page_has_no_script_and_may_post_to_itself_only() -> None:
    """Its policy allows inline styles and the image, nothing else."""
    response = ask("GET", "/")
    policy = response.headers["Content-Security-Policy"].split("; ")

    assert {"form-action 'self'", "base-uri 'none'", "img-src data:"} <= set(policy)
    assert "<script" not in response.get_data(as_text=True)


NETWORK = {"key": "a-key", "token": TOKEN}


def test_beyond_loopback_literal_addresses_and_the_given_names_are_accepted() -> None:
    """A literal address cannot be rebound; any other name may belong to an attacker."""
    names = ["sandbox", "proxy.internal:80"]
    access = access_for("box.internal", **NETWORK, hosts=names)
    accepted = ["box.internal", "10.0.0.7", "[fd00::7]", "127.0.0.1", "Sandbox"]

    for host in (*(f"{name}:8080" for name in accepted), "proxy.internal:80"):
        assert ask(Host=host, access=access).status_code == 200
    for host in ("attacker.example:8080", "proxy.internal:8080", "sandbox:81"):
        assert is_foreign(ask(Host=host, access=access))


def test_beyond_loopback_there_is_no_page() -> None:
    """It decodes images without a key."""
    access = access_for("0.0.0.0", **NETWORK)  # noqa: S104  no listening socket

    for method in ("GET", "POST"):
        response = ask(method, "/", access=access)

        assert (response.status_code, response.get_json()["error"]["code"]) == (
            404,
            623,
        )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.7", "box", "unix:///x"])  # noqa: S104
@pytest.mark.parametrize(
    ("key", "token"),
    [("sandbox-key", TOKEN), ("", TOKEN), ("a-key", None), ("a-key", "")],
)
def test_beyond_loopback_a_key_and_a_token_of_ones_own_are_needed(
    host: str, key: str, token: str | None
) -> None:
    """The default key is published."""
    with pytest.raises(
        UnsafeStart, match=r"HANGTAG_SANDBOX_KEY .* HANGTAG_SANDBOX_TOKEN"
    ):
        access_for(host, key, token=token)


@pytest.mark.parametrize("name", ["http://box/", "box:", "a b", ""])
def test_an_allowed_host_that_no_client_can_send_is_refused(name: str) -> None:
    """Silently, it would never match."""
    with pytest.raises(UnsafeStart, match="--allowed-host"):
        access_for("127.0.0.1", "a-key", hosts=[name])


def test_a_key_that_no_client_can_send_is_refused() -> None:
    """`hangtag tag` refuses it, too."""
    with pytest.raises(UnsafeStart, match="no API key"):
        access_for("127.0.0.1", "a key")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_on_loopback_the_token_is_random(host: str) -> None:
    """Each process has another one."""
    tokens = {access_for(host, "sandbox-key").token for _ in range(10)}

    assert len(tokens) == 10
    assert all(token and len(token) >= 32 for token in tokens)


@pytest.mark.parametrize(
    "token", ["short", "has a blank in it ....", "ключ" * 8, "x" * 201]
)
def test_a_token_that_protects_nothing_or_fits_in_no_header_is_refused(
    token: str,
) -> None:
    """It is reported at the start, not with the first request."""
    with pytest.raises(UnsafeStart, match="HANGTAG_SANDBOX_TOKEN must have 16"):
        access_for("127.0.0.1", "sandbox-key", token=token)
