"""Signatures against the protocol's vectors, and against a second implementation written from its text."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk._wire import sign as module
from backendai_sdk._wire.sign import date_header, sign
from backendai_sdk.errors import InvalidArgument

ACCESS, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
VECTOR_1 = {
    "method": "POST",
    "path_qs": "/session",
    "host": "127.0.0.1:8081",
    "date": "2024-03-27T11:42:18.123456+00:00",
    "day": "20240327",
    "content_type": "application/json",
    "version": "v7.20230615",
    "access_key": ACCESS,
    "secret_key": SECRET,
}
VECTOR_2 = {
    "method": "GET",
    "path_qs": "/events/session?sessionName=my-sess&scope=*",
    "host": "api.example.com",
    "date": "2024-01-01T00:00:00+00:00",
    "day": "20240101",
    "content_type": "application/octet-stream",
    "version": "v6.20220615",
    "access_key": ACCESS,
    "secret_key": SECRET,
}
VECTOR_3 = {
    "method": "DELETE",
    "path_qs": "/base/session/my-sess?forced=true",
    "host": "localhost:8081",
    "date": "2024-03-27T23:59:59.500000+00:00",
    "day": "20240327",
    "content_type": "text/plain",
    "version": "v7.20230615",
    "access_key": ACCESS,
    "secret_key": SECRET,
}
VECTOR_4 = VECTOR_1 | {"hash_name": "sha512"}


@pytest.mark.parametrize(
    ("values", "method", "signature"),
    [
        (VECTOR_1, "SHA256", "9f332cfc57edd6417a2c3c46252e6d687a6651355bb4f1078a0e3bf38c4b3e17"),
        (VECTOR_2, "SHA256", "0ebebe576af670a6f75036a861a6601fad50d7b6fd499b0fcab45a9d7d31acaf"),
        (VECTOR_3, "SHA256", "074f0d673d2fb704f799894265899ef7706eaeb6b6127bb42a42fd05ab151e94"),
        (
            VECTOR_4,
            "SHA512",
            (
                "e8acfd2187e676a3ece58a540a6cc99e9bb71001f8db5404f1cedd6fec45e6de7a3e7e2b046a8bacc7da904dfc936a58d19bb413af26cdb09e1ca6c140c31fb7"
            ),
        ),
    ],
)
def test_vectors_of_the_protocol(values, method, signature):
    assert sign(**values) == f"BackendAI signMethod=HMAC-{method}, credential={ACCESS}:{signature}"


# --- a second implementation: RFC 2104 by hand, no `hmac` ------------------------------------------------


def slow_hmac(key: bytes, text: bytes, name: str) -> bytes:
    block = hashlib.new(name).block_size
    if len(key) > block:
        key = hashlib.new(name, key).digest()
    key = key.ljust(block, b"\0")
    inner = hashlib.new(name, bytes(b ^ 0x36 for b in key) + text).digest()
    return hashlib.new(name, bytes(b ^ 0x5C for b in key) + inner).digest()


def slow_sign(values: dict[str, str]) -> str:
    name = values.get("hash_name", "sha256")
    lines = [
        values["method"].upper(),
        values["path_qs"],
        values["date"],
        "host:" + values["host"],
        "content-type:" + values["content_type"].lower(),
        "x-backendai-version:" + values["version"],
        hashlib.new(name, b"").hexdigest(),
    ]
    k1 = slow_hmac(values["secret_key"].encode(), values["day"].encode(), name)
    k2 = slow_hmac(k1, values["host"].encode(), name)
    signature = slow_hmac(k2, "\n".join(lines).encode(), name).hex()
    return f"BackendAI signMethod=HMAC-{name.upper()}, credential={values['access_key']}:{signature}"


text = st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), max_size=60)
requests = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "get"]),
        "path_qs": st.builds("{}/{}?{}".format, st.sampled_from(["", "/base", "/a/b"]), text, text),
        "host": st.builds(
            "{}{}".format, st.from_regex(r"[a-z0-9.-]{1,30}", fullmatch=True), st.sampled_from(["", ":8081"])
        ),
        "date": st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
        "day": st.from_regex(r"[0-9]{8}", fullmatch=True).filter(str.isascii),
        "content_type": st.sampled_from(["application/json", "text/plain", "Multipart/Form-Data"]),
        "version": st.sampled_from(["v6.20220615", "v9.20250722"]),
        "access_key": st.from_regex(r"[A-Z0-9]{1,20}", fullmatch=True).filter(str.isascii),
        "secret_key": text | text.map(lambda t: t * 5),
        "hash_name": st.sampled_from(["sha256", "sha512"]),
    }
)


@given(requests)
def test_agrees_with_the_second_implementation(values):
    assert sign(**values) == slow_sign(values)


@given(requests, st.data())
def test_every_component_counts(values, data):
    name = data.draw(st.sampled_from([key for key in values if key not in {"method", "content_type"}]))
    other = data.draw(requests)[name]
    if other != values[name]:
        assert sign(**values) != sign(**values | {name: other})


def test_method_and_content_type_count():
    assert sign(**VECTOR_1) != sign(**VECTOR_1 | {"method": "PUT"})
    assert sign(**VECTOR_1) != sign(**VECTOR_1 | {"content_type": "text/plain"})


@given(requests, st.data(), st.sampled_from(["\n", "\r", "\r\n", "\0"]))
def test_no_line_break_passes(values, data, mark):
    name = data.draw(st.sampled_from(sorted(values)))
    at = data.draw(st.integers(0, len(values[name])))
    broken = values[name][:at] + mark + values[name][at:]
    with pytest.raises(InvalidArgument) as caught:
        sign(**values | {name: broken})
    assert caught.value.argument == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("day", "2024-03-27"),
        ("day", "٢٠٢٤٠٣٢٧"),
        ("hash_name", "md6"),
        ("hash_name", "shake_128"),
        ("access_key", "AK,credential=x"),
        ("access_key", "AK:x"),
        ("access_key", "AK\x1b"),
        ("path_qs", "/\ud800"),
        ("secret_key", "\ud800"),
        ("host", "\udfff"),
    ],
)
def test_what_cannot_be_signed_is_refused(name, value):
    with pytest.raises(InvalidArgument) as caught:
        sign(**VECTOR_1 | {name: value})
    assert caught.value.argument == name


@pytest.mark.parametrize("secret", ["top-secret\n", "top-secret\ud800"])
def test_no_error_shows_the_secret(secret):
    with pytest.raises(InvalidArgument) as caught:
        sign(**VECTOR_1 | {"secret_key": secret})
    exc: BaseException | None = caught.value
    while exc is not None:
        assert "top-secret" not in f"{exc} {exc.args} {vars(exc)} {getattr(exc, 'object', '')}"
        exc = exc.__cause__ or exc.__context__


def test_the_cache_is_bounded_and_shows_no_secret():
    for number in range(600):
        sign(**VECTOR_1 | {"secret_key": f"hidden-{number}"})
    info = module._day_key.cache_info()
    assert info.maxsize is not None
    assert info.currsize <= info.maxsize <= 1024
    assert "hidden" not in repr(module._day_key) + repr(info)


def test_media_type_parameters_are_left_out():
    assert sign(**VECTOR_1 | {"content_type": "Application/JSON; charset=utf-8"}) == sign(**VECTOR_1)
    assert sign(**VECTOR_2 | {"content_type": ""}) == sign(**VECTOR_2)


# --- dates ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (
            datetime(2024, 3, 27, 11, 42, 18, 123456, UTC),
            ("2024-03-27T11:42:18.123456+00:00", "20240327"),
        ),
        (datetime(2024, 1, 1, tzinfo=UTC), ("2024-01-01T00:00:00+00:00", "20240101")),
        # The day is that of the offset in the header, here Seoul's.
        (
            datetime(2024, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=9))),
            ("2024-01-01T00:30:00+09:00", "20240101"),
        ),
        (datetime(987, 6, 5, tzinfo=UTC), ("0987-06-05T00:00:00+00:00", "09870605")),
    ],
)
def test_date_header(now, expected):
    assert date_header(now) == expected


def test_a_date_without_zone_is_refused():
    with pytest.raises(InvalidArgument, match="time zone"):
        date_header(datetime(2024, 1, 1))


@given(st.datetimes(timezones=st.just(timezone(timedelta(hours=9))) | st.just(UTC)))
def test_any_date_can_be_read_again_and_signs(now):
    header, day = date_header(now)
    assert datetime.fromisoformat(header) == now
    assert sign(**VECTOR_1 | {"date": header, "day": day})
