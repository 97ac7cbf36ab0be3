"""Who may ask: signatures, dates, versions, hosts and budgets, as each release answers."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta

import pytest

from backendai_sdk.local import LocalCluster
from backendai_sdk.local.auth import parse_date, signature_of

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
RELEASES = ["23.09", "24.03", "25.19", "26.8", "26.9"]
VECTORS = [
    (
        "SHA256", "POST", "/session", "127.0.0.1:8081", "application/json", "v7.20230615", "2024-03-27T11:42:18.123456+00:00",
        "9f332cfc57edd6417a2c3c46252e6d687a6651355bb4f1078a0e3bf38c4b3e17",
    ),
    (
        "SHA256", "GET", "/events/session?sessionName=my-sess&scope=*", "api.example.com", "application/octet-stream",
        "v6.20220615", "2024-01-01T00:00:00+00:00", "0ebebe576af670a6f75036a861a6601fad50d7b6fd499b0fcab45a9d7d31acaf",
    ),
    (
        "SHA256", "DELETE", "/base/session/my-sess?forced=true", "localhost:8081", "text/plain", "v7.20230615",
        "2024-03-27T23:59:59.500000+00:00", "074f0d673d2fb704f799894265899ef7706eaeb6b6127bb42a42fd05ab151e94",
    ),
    (
        "SHA512", "POST", "/session", "127.0.0.1:8081", "application/json", "v7.20230615", "2024-03-27T11:42:18.123456+00:00",
        ("e8acfd2187e676a3ece58a540a6cc99e9bb71001f8db5404f1cedd6fec45e6de"
         "7a3e7e2b046a8bacc7da904dfc936a58d19bb413af26cdb09e1ca6c140c31fb7"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("hash_name", "method", "path", "host", "mime", "version", "date", "signature"), VECTORS
)
def test_signature_vectors(hash_name, method, path, host, mime, version, date, signature):
    moment = parse_date(date)
    assert moment is not None
    made = signature_of(
        sign_method=f"HMAC-{hash_name}",
        secret_key=SECRET,
        method=method,
        raw_path=path,
        host=host,
        content_type=mime,
        headers={"Date": date, "X-BackendAI-Version": version},
        date=moment,
    )
    assert made == signature


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-27T11:42:18+00:00",
        "Wed, 27 Mar 2024 11:42:18 GMT",
        "2024-03-27T11:42:18",
        "20240327T114218Z",
        "2024-03-27T20:42:18+09:00",
    ],
)
def test_dates_in_any_form(text):
    assert parse_date(text) == datetime(2024, 3, 27, 11, 42, 18, tzinfo=UTC)


def test_no_date():
    assert parse_date("yesterday") is None


@pytest.mark.parametrize("release", RELEASES)
async def test_signed_request(both, release):
    _, api = await both(release)
    answer = await api("POST", "/auth", body={"echo": "hello"})
    assert (answer.status, answer.json) == (200, {"authorized": "yes", "echo": "hello"})
    assert answer.headers["Server"] == "BackendAI"
    assert answer.headers["X-RateLimit-Limit"] == "30000"
    assert int(answer.headers["X-RateLimit-Remaining"]) < 30000
    assert ("X-RateLimit-Reset" in answer.headers) is (release == "26.9")
    assert (await api("GET", "/")).json["version"] == api.version


@pytest.mark.parametrize("release", RELEASES)
async def test_refusals(both, release):
    _, api = await both(release)
    newer = release in {"26.8", "26.9"}
    now = datetime.now(UTC)
    path = "/auth/role"
    cases = [
        ({"secret": "wrong"}, 401, "auth-failed", "HMAC signature mismatch" if newer else "Signature mismatch"),
        ({"access_key": "AKNOSUCHKEY"}, 401, "auth-failed", "Access key not found" + (" in HMAC" if newer else "")),
        ({"now": now - timedelta(minutes=20)}, 400, "invalid-auth-params", "Date/time sync error"),
        ({"now": now + timedelta(minutes=20)}, 400, "invalid-auth-params", "Date/time sync error"),
        ({"Date": None}, 400, "invalid-auth-params", "Date/time sync error"),
        ({"Date": "soon"}, 400, "invalid-auth-params", "Date/time sync error"),
        ({"Authorization": None}, 401, "auth-failed", "Unauthorized access"),
        ({"Authorization": "BackendAI"}, 400, "invalid-auth-params", "Malformed authorization header"),
        ({"Authorization": "Basic x=y"}, 400, "invalid-auth-params", "Invalid authorization type name"),
        ({"Authorization": "BackendAI credential=x"}, 400, "invalid-auth-params", "Missing or malformed authorization parameters"),
        ({"Authorization": "BackendAI nonsense"}, 500, "internal-server-error", None),
        ({"sign_method": "HMAC-MD6"}, 400, "invalid-auth-params", "Unsupported request signing method (hash type)"),
        ({"sign_method": "RSA-SHA256"}, 400, "invalid-auth-params", "Unsupported request signing method (MAC type)"),
        ({"X-BackendAI-Version": None}, 400, "invalid-auth-params", "API version missing in request headers"),
        ({"version": "v99.20990101"}, 400, "generic-bad-request", "Unsupported API version."),
    ]  # fmt: skip
    for change, status, slug, msg in cases:
        answer = await api("GET", path, **change)
        assert (answer.status, answer.slug, answer.json.get("msg")) == (status, slug, msg), change
        assert answer.headers["Content-Type"] == "application/problem+json; charset=utf-8"
        assert ("error_code" in answer.json) is (release not in {"23.09", "24.03"}), change


async def test_order_of_checks(both):
    _, api = await both("23.09")
    lost = await api("GET", "/no/such", version="v99", secret="wrong")
    assert (lost.status, lost.json) == (
        404,
        {
            "type": "https://api.backend.ai/probs/url-not-found",
            "title": "Unknown URL path.",
            "data": "/no/such",
        },
    )
    wrong = await api("PATCH", "/auth", secret="wrong")
    assert (wrong.status, wrong.slug, wrong.headers["Allow"]) == (
        405,
        "method-not-allowed",
        "GET,OPTIONS,POST",
    )
    skewed = await api("GET", "/auth/role", date="x", access_key="nobody")
    assert skewed.slug == "invalid-auth-params"


async def test_versions(both):
    _, api = await both("23.09")
    assert (await api("GET", "/auth/role", version="v8.20240315")).status == 400
    assert (await api("GET", "/auth/role", version="v4.20190615")).status == 200
    _, newer = await both("26.8")
    assert (await newer("GET", "/auth/role", version="v6.20210815")).status == 400
    assert (await newer("GET", "/auth/role", version="v6.20221201")).status == 200


async def test_query_is_signed(both):
    _, api = await both()
    assert (await api("GET", "/session/_/match", query={"id": "a b+c"})).json == {"matches": []}


async def test_rate_limit(both):
    cluster, api = await both("23.09", rate_limit=3)
    for left in (2, 1, 0):
        answer = await api("GET", "/auth/role")
        assert answer.headers["X-RateLimit-Remaining"] == str(left)
    answer = await api("GET", "/auth/role")
    assert (answer.status, answer.slug) == (429, "rate-limit-exceeded")
    assert "Retry-After" not in answer.headers
    assert "X-RateLimit-Limit" not in answer.headers
    cluster.rate_limit = 30000
    assert (await api("GET", "/auth/role")).status == 200


async def test_rate_limit_headers_on_errors(both):
    for release, there in (("23.09", False), ("26.9", True)):
        _, api = await both(release)
        assert ("X-RateLimit-Limit" in (await api("GET", "/session/nobody")).headers) is there


async def test_wrong_clock(both):
    cluster, api = await both()
    cluster.clock.offset = timedelta(hours=1)
    refused = await api("GET", "/auth/role")
    assert (refused.status, refused.slug) == (400, "invalid-auth-params")
    shown = parse_date(refused.headers["Date"])
    assert shown is not None
    assert shown - datetime.now(UTC) > timedelta(minutes=59)
    assert (await api("GET", "/auth/role", now=shown)).status == 200


async def test_foreign_host_name(both):
    _, api = await both()
    refused = await api("GET", "/", Host="evil.example.com")
    assert refused.status == 403
    assert (await api("GET", "/", Host="localhost:1")).status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com", "::"])
def test_listens_on_loopback_only(host):
    with pytest.raises(ValueError, match="loopback"):
        LocalCluster(host=host)


async def test_other_machines_if_they_are_allowed_to(start, connect):
    cluster = await start(host="0.0.0.0", allow_remote=True)
    assert cluster.endpoint.startswith("http://127.0.0.1:")
    api = await connect(cluster)
    assert (await api("GET", "/auth/role")).status == 200
    assert (await api("GET", "/", Host="cluster.example.com")).status == 200


async def test_ipv6(start, connect):
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        cluster = await start(host="::1")
    except OSError:
        pytest.skip("no IPv6 loopback")
    api = await connect(cluster)
    assert (await api("GET", "/auth/role")).status == 200


async def test_superadmin(start, connect):
    cluster = await start()
    user, admin = await connect(cluster), await connect(cluster, cluster.admin)
    assert (await user("PUT", "/manager/status", body={"status": "frozen"})).status == 401
    assert (await admin("PUT", "/manager/status", body={"status": "frozen"})).status == 204
    frozen = await user.create("frozen-1")
    assert (frozen.status, frozen.slug) == (503, "server-frozen")
    assert (await user("GET", "/auth/role")).json["global_role"] == "user"
    assert (await admin("GET", "/auth/role")).json["global_role"] == "superadmin"


def test_secrets_are_not_shown():
    cluster = LocalCluster()
    with cluster:
        for keys in (cluster.user, cluster.admin, cluster.add_user("x@local.test")):
            assert keys.secret_key not in repr(keys)
            assert keys.password not in repr(keys)
        assert cluster.secret_key not in repr(cluster)
        assert cluster.user.secret_key != cluster.admin.secret_key
