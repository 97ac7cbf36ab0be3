"""Secrets stay secret: they are looked for in everything that can be printed, logged, pickled or kept."""

from __future__ import annotations

import contextlib
import copy
import logging
import pickle
import traceback
from collections.abc import Iterator

import attrs
import pytest
from wire_manager import ACCESS, RESET, SECRET, Reply, listing, problem

from backendai_sdk import AsyncSession, BackendAIError, Session
from backendai_sdk._transport.credentials import credentials_of
from backendai_sdk.config import Config
from backendai_sdk.errors import ConfigError
from backendai_sdk.retry import RetryPolicy

PASSWORD, COOKIE = "hunter2-a-password-of-its-own", "token-that-signs-in"
WEB = {"endpoint_type": "session", "username": "me@example.com", "password": PASSWORD}
HIDDEN = (SECRET, PASSWORD, COOKIE)


def told(value: object) -> str:
    """Everything that *value* says of itself, and of what it holds."""
    said = [repr(value), str(value)]
    if isinstance(value, BaseException):
        said += traceback.format_exception(value)
        seen: BaseException | None = value
        while seen is not None:
            said += [repr(seen), str(seen), repr(seen.args), repr(vars(seen))]
            seen = seen.__cause__ or seen.__context__
    return "\n".join(said)


def is_hidden(text: str | bytes) -> bool:
    text = text.decode("latin-1") if isinstance(text, bytes) else text
    return not [secret for secret in HIDDEN if secret in text]


@contextlib.contextmanager
def kept(failures: list[BaseException]) -> Iterator[None]:
    try:
        yield
    except BaseException as exc:
        failures.append(exc)
        raise


def test_what_is_looked_for_would_be_found():
    with pytest.raises(ValueError) as caught:
        raise ValueError(f"the key is {SECRET}")
    assert not is_hidden(told(caught.value))


@pytest.mark.parametrize("given", [{"access_key": ACCESS, "secret_key": SECRET}, WEB])
def test_settings(given):
    config = Config(endpoint="http://127.0.0.1:1", **given)
    holder = attrs.make_class("Holder", ["config", "credentials"])(config, credentials_of(config))
    for value in (config, holder, {"config": config}, AsyncSession(config=config), Session(config=config)):
        assert is_hidden(told(value)), type(value)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert is_hidden(pickle.dumps(config, protocol))
    assert copy.deepcopy(config) == config  # in this process they are kept
    again = pickle.loads(pickle.dumps(config))
    with pytest.raises(ConfigError, match="came out of a pickle"):
        credentials_of(again)


@pytest.mark.parametrize(
    "given",
    [
        {"access_key": ACCESS, "secret_key": SECRET, "hash_name": "md5"},
        {"secret_key": SECRET},
        {"access_key": ACCESS, "secret_key": SECRET, "endpoint_type": "sess"},
        {"password": PASSWORD, "endpoint_type": "session"},
    ],
)
def test_wrong_settings(given):
    with pytest.raises(ConfigError) as caught:
        Config.load(endpoint="http://127.0.0.1:1", **given)
    assert is_hidden(told(caught.value))


def test_a_password_in_an_address():
    with pytest.raises(ConfigError) as caught:
        Config(endpoint=f"http://me:{PASSWORD}@127.0.0.1:1", access_key=ACCESS, secret_key=SECRET)
    assert is_hidden(told(caught.value))


FAULTS = {
    "refused": lambda seen: problem(401, "auth-failed", "Unauthorized access"),
    "bad request": lambda seen: problem(400, "invalid-api-params", "Bad", data={"x": 1}),
    "server error": lambda seen: Reply(500, b"<html>proxy</html>", {"content-type": "text/html"}),
    "reset": lambda seen: RESET,
    "no JSON": lambda seen: Reply(200, b"{"),
    "no HTTP": lambda seen: [b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"],
    "redirect": lambda seen: Reply(302, b"", {"location": "http://elsewhere/"}),
    "no upgrade": lambda seen: Reply(200, b"", {"set-cookie": "other=1"}),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", ["api", "session"])
async def test_errors_and_logs(serve, client, caplog, kind, fault):
    """Every call on a server that fails, with everything logged that anybody logs."""

    def script(seen):
        if seen.route == "POST /server/login":
            return Reply(200, {"authenticated": True, "data": {}}, {"Set-Cookie": f"S={COOKIE}; Path=/"})
        if seen.target == "/func/":
            return Reply(200, {"version": "v9.20250722", "manager": "26.8.1"})
        if b"compute_session_list" in seen.body and b"of_this_one" in seen.body:
            return listing({"id": "0" * 8, "session_id": "0" * 8, "name": "of_this_one", "status": "RUNNING"})
        return FAULTS[fault](seen)

    caplog.set_level(0)
    for name in ("asyncio", "aiohttp", "backendai_sdk", "backendai_sdk.transport"):
        caplog.set_level(logging.DEBUG, logger=name)
    server = await serve(script)
    api = await client(
        server, retry=RetryPolicy(max_attempts=2, base=0, cap=0), **(WEB if kind == "session" else {})
    )
    cs = await api.get("of_this_one")
    failures: list[BaseException] = []
    for call in (
        api.list,
        api.ping,
        lambda: api.create("python", startup_command="x"),
        lambda: cs.execute("1"),
        lambda: cs.execute("1", transport="websocket"),
        cs.logs,
        lambda: cs.read_file("a"),
        lambda: cs.write_file("a", b"x"),
        lambda: cs.destroy(),
    ):
        with contextlib.suppress(BackendAIError), kept(failures):
            await call()
    assert failures
    for error in failures:
        assert is_hidden(told(error))
        assert is_hidden(pickle.dumps(error))
    assert is_hidden(told(api) + told(cs))
    assert is_hidden("\n".join(record.getMessage() + str(record.exc_text) for record in caplog.records))
    assert server.seen, "nothing was asked"
