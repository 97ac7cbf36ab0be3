"""Settings: which place wins, what is refused in which words, and that secrets are nowhere to be seen."""

from __future__ import annotations

import copy
import math
import pickle
import sys
import traceback
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk._transport import Transport
from backendai_sdk.config import Config, Timeouts, journal_file, profile_file
from backendai_sdk.errors import ConfigError
from backendai_sdk.retry import RetryPolicy

SECRET, PASSWORD = "s3cr3t-k3y", "hunter2-pass"
KEYS = {"access_key": "AK", "secret_key": SECRET}
HOST = "https://api.example.com"


@pytest.fixture
def profile(tmp_path, monkeypatch):
    """Write the profile file's text."""
    file = tmp_path / "config.toml"
    monkeypatch.setenv("BACKEND_CONFIG_FILE", str(file))
    return lambda text: file.write_text(text, "utf-8")


@pytest.fixture
def environ(monkeypatch):
    """Set BACKEND_* variables."""
    return lambda **values: [monkeypatch.setenv(f"BACKEND_{k}", v) for k, v in values.items()]


def test_arguments_before_environment_before_profile(profile, environ):
    profile(
        f'[profiles.default]\nendpoint = "http://profile"\naccess_key = "P"\nsecret_key = "{SECRET}"\n'
        'domain = "profile"\nproject = "profile"\ntimeouts = {request = 5}\n'
    )
    config = Config.load()
    assert (config.endpoint, config.access_key, config.domain) == (("http://profile",), "P", "profile")
    assert config.timeouts == Timeouts(request=5)
    environ(ENDPOINT="http://env", DOMAIN="env", READ_TIMEOUT="7")
    config = Config.load()
    assert (config.endpoint, config.access_key, config.domain) == (("http://env",), "P", "env")
    assert config.project == "profile"
    assert config.timeouts.request == 7
    config = Config.load(endpoint="http://given", domain=None, timeouts=Timeouts(request=9))
    assert (config.endpoint, config.domain, config.timeouts.request) == (("http://given",), "env", 9)


def test_profiles_by_name(profile, environ):
    profile(
        f'[profiles.a]\nendpoint = "http://a"\naccess_key = "A"\nsecret_key = "{SECRET}"\n'
        f'[profiles.b]\nendpoint = "http://b"\naccess_key = "B"\nsecret_key = "{SECRET}"\n'
    )
    assert Config.from_profile("a").access_key == "A"
    assert Config.load(profile="b").access_key == "B"
    environ(PROFILE="a")
    assert Config.load().access_key == "A"
    assert Config.load(profile="b").access_key == "B"
    with pytest.raises(ConfigError, match=r"no profile 'c' in .*config\.toml \(profiles there: a, b\)"):
        Config.load(profile="c")


def test_every_variable(environ):
    environ(
        ENDPOINT="http://a, https://b/base/",
        ACCESS_KEY="AK",
        SECRET_KEY=SECRET,
        DOMAIN="d",
        GROUP="g",
        API_VERSION="v7.20230615",
        SKIP_SSLCERT_VALIDATION="Yes",
        CONNECTION_TIMEOUT="3",
        READ_TIMEOUT="0",
        ENDPOINT_TYPE="api",
    )
    config = Config.from_env()
    assert config == Config(
        endpoint=("http://a", "https://b/base"),
        **KEYS,
        domain="d",
        project="g",
        api_version="v7.20230615",
        verify_ssl=False,
        timeouts=Timeouts(connect=3),
    )


@pytest.mark.parametrize(
    ("value", "verified"),
    [("", True), ("0", True), ("no", True), ("false", True), ("1", False), ("TRUE", False)],
)
def test_skipping_verification(environ, value, verified):
    environ(ENDPOINT=HOST, ACCESS_KEY="AK", SECRET_KEY=SECRET, SKIP_SSLCERT_VALIDATION=value)
    assert Config.load().verify_ssl is verified


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"endpoint": "api.example.com"}, "has no scheme; write 'https://api.example.com'"),
        ({"endpoint": "api.example.com:8081"}, "has no scheme"),
        ({"endpoint": "ftp://h"}, "is not an http:// or https:// address"),
        ({"endpoint": "http://"}, "is not an http:// or https:// address with a host name"),
        ({"endpoint": "http://h:99999"}, "is not an address: "),
        ({"endpoint": "http://h:0"}, "is not an http"),
        ({"endpoint": "http://[::1"}, "is not an address: "),
        ({"endpoint": "http://user@h"}, "no user name, query or fragment"),
        ({"endpoint": "http://h/?x=1"}, "no user name, query or fragment"),
        ({"endpoint": "http://h/a b"}, "must be percent-encoded"),
        ({"endpoint": "http://h/ü"}, "must be percent-encoded"),
        ({"endpoint": "http://a b"}, "must be percent-encoded"),
        ({"endpoint": " , "}, "no address was given, for example"),
        ({"endpoint": []}, "no address was given"),
        ({"access_key": ""}, "no credentials: access_key missing. Pass access_key=.*Session.local"),
        ({"access_key": "", "secret_key": ""}, "access_key and secret_key missing.*BACKEND_ACCESS_KEY"),
        ({"endpoint_type": "web"}, "'web' is not known; use 'api' .* or 'session'"),
        ({"endpoint_type": "session"}, "needs username= and password=, or BACKEND_USER"),
        ({"api_version": "7"}, "'7' is not of the form 'v7.20230615'"),
        ({"hash_name": "md4"}, "hash_name: 'md4' cannot sign"),
    ],
)
def test_what_is_refused(given, message):
    with pytest.raises(ConfigError, match=message) as caught:
        Config(**({"endpoint": HOST, **KEYS} | given))
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_without_an_endpoint(environ):
    with pytest.raises(
        ConfigError, match="no endpoint: pass endpoint=, set BACKEND_ENDPOINT, .*Session.local"
    ):
        Config.load(**KEYS)
    with pytest.raises(ConfigError, match="BACKEND_ENDPOINT is not set"):
        Config.from_env()
    environ(ENDPOINT=HOST)
    with pytest.raises(ConfigError, match="no credentials"):
        Config.load()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[profiles.default]\naccess_key = 'x'\n", "the profile 'default' in .* has no endpoint"),
        ("[profiles.default]\nendpiont = 'x'\n", r"unknown settings: \['endpiont'\]"),
        ("[profiles.default]\nretry = 5\n", r"unknown settings: \['retry'\]"),
        ("[profiles\n", "cannot read the profiles in .*config.toml"),
        (
            "[profiles.default]\nendpoint='http://h'\ntimeouts={patience=5}\n",
            "timeouts of the profile 'default'",
        ),
        ("profiles = {default = 5}\n", "no profile 'default'"),
        ("[profiles.default]\nendpoint='http://h'\ntimeouts={request='x'}\n", "timeouts.request: 'x'"),
    ],
)
def test_profiles_that_are_refused(profile, text, message):
    profile(text)
    with pytest.raises(ConfigError, match=message):
        Config.from_profile()


def test_a_profile_file_that_cannot_be_read(monkeypatch, tmp_path):
    monkeypatch.setenv("BACKEND_CONFIG_FILE", str(tmp_path))
    with pytest.raises(ConfigError, match="cannot read the profiles in"):
        Config.load(endpoint=HOST, **KEYS)


@pytest.mark.parametrize("value", ["x", "nan", "inf", "-5", "1e999"])
def test_variables_that_are_no_seconds(environ, value):
    environ(ENDPOINT=HOST, READ_TIMEOUT=value)
    with pytest.raises(ConfigError, match=f"BACKEND_READ_TIMEOUT: '{value}' is not a number of seconds"):
        Config.load(**KEYS)


@pytest.mark.parametrize("name", [a.name for a in attrs.fields(Timeouts)])
@given(st.none() | st.floats() | st.integers() | st.text(max_size=2) | st.booleans())
def test_time_limits(name, value):
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is None or (number and 0 < value < math.inf):
        assert getattr(Timeouts(**{name: value}), name) == value
    else:
        with pytest.raises(ConfigError, match=rf"timeouts\.{name}: .*None for no limit"):
            Timeouts(**{name: value})


def both():
    web = Config(endpoint=HOST, endpoint_type="session", username="u", password=PASSWORD)
    return [Config(endpoint=HOST, **KEYS), web]


@pytest.mark.parametrize("config", both(), ids=["api", "session"])
def test_secrets_are_nowhere_to_be_seen(config):
    secret = config.secret_key or config.password
    assert secret in {SECRET, PASSWORD}
    for shown in (repr(config), str(config), f"{config}", ascii(config)):
        assert secret not in shown
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert secret.encode() not in pickle.dumps(config, protocol)

    def fails(config):
        raise ValueError(config)

    with pytest.raises(ValueError, match="Config") as caught:
        fails(config)
    # As reporters of errors do it, with the local variables of the frames below this one.
    below = caught.value.__traceback__.tb_next
    shown = "".join(
        traceback.TracebackException(ValueError, caught.value, below, capture_locals=True).format()
    )
    assert "config = Config(" in shown
    assert secret not in shown


@pytest.mark.parametrize("config", both(), ids=["api", "session"])
def test_a_pickle_carries_everything_else_and_says_what_it_lacks(config):
    read = pickle.loads(pickle.dumps(config))
    assert (read.endpoint, read.timeouts, read.username) == (
        config.endpoint,
        config.timeouts,
        config.username,
    )
    with pytest.raises(ConfigError, match=r"came out of a pickle.*use attrs\.evolve\(config, \w+=\.\.\.\)"):
        Transport(read)
    secrets = {"secret_key": config.secret_key, "password": config.password}
    assert attrs.evolve(read, **secrets) == config


def test_a_copy_keeps_its_secrets():
    config = both()[0]
    assert copy.copy(config) == copy.deepcopy(config) == attrs.evolve(config) == config
    assert copy.deepcopy({"x": config})["x"].secret_key == SECRET


def test_settings_do_not_change():
    config = both()[0]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        config.domain = "x"
    assert attrs.evolve(config, retry=RetryPolicy(max_attempts=1)).retry.max_attempts == 1
    assert hash(config) == hash(attrs.evolve(config))


@pytest.mark.parametrize(
    ("platform", "variable", "end"),
    [
        ("linux", "XDG_CONFIG_HOME", "backendai_sdk/config.toml"),
        ("win32", "APPDATA", "backendai_sdk/config.toml"),
    ],
)
def test_where_profiles_are_kept(monkeypatch, tmp_path, platform, variable, end):
    monkeypatch.delenv("BACKEND_CONFIG_FILE")
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setenv(variable, str(tmp_path))
    assert profile_file() == tmp_path / end


# --- the journal ----------------------------------------------------------------------------------------


def test_where_the_journal_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def journal(given):
        return Config(endpoint=HOST, **KEYS, journal=given).journal

    assert Config(endpoint=HOST, **KEYS).journal is journal(None) is journal(False) is None
    assert journal(True) == journal_file()
    assert journal("j") == journal(tmp_path / "j") == tmp_path / "j"
    assert journal("~/j") == tmp_path / "home" / "j"
    if sys.platform == "linux":
        assert journal_file() == tmp_path / "state/backendai_sdk/journal.sqlite3"
        monkeypatch.delenv("XDG_STATE_HOME")
        assert journal_file() == tmp_path / "home/.local/state/backendai_sdk/journal.sqlite3"
    config = Config(endpoint=HOST, **KEYS, journal="j")
    monkeypatch.chdir(tmp_path.parent)
    assert attrs.evolve(config, domain="x").journal == tmp_path / "j"
    assert pickle.loads(pickle.dumps(config)).journal == tmp_path / "j"


@pytest.mark.parametrize("given", ["", ".", 1, b"j", "a\0b", ["j"]])
def test_a_journal_that_is_no_path(given):
    with pytest.raises(ConfigError, match="journal: .* is neither true, false nor the path of a file"):
        Config(endpoint=HOST, **KEYS, journal=given)


def test_the_journal_of_a_user_that_has_no_home():
    with pytest.raises(ConfigError, match="journal: '~nobody-at-all/j' leads nowhere"):
        Config(endpoint=HOST, **KEYS, journal="~nobody-at-all/j")


@pytest.mark.parametrize("yes", ["1", "yes", "TRUE", "on"])
def test_the_journal_by_environment(environ, yes, tmp_path):
    environ(ENDPOINT=HOST, ACCESS_KEY="A", SECRET_KEY=SECRET)
    assert Config.from_env().journal is None
    environ(JOURNAL=yes)
    assert Config.from_env().journal == journal_file()
    assert Config.load(journal=False).journal is None
    environ(JOURNAL=str(tmp_path / "j"))
    assert Config.from_env().journal == tmp_path / "j"
    environ(JOURNAL="no")
    assert Config.from_env().journal is None


@pytest.mark.parametrize(("text", "on"), [("true", True), ("false", False), ('"/j"', "/j")])
def test_the_journal_in_a_profile(profile, text, on):
    profile(
        f'[profiles.default]\nendpoint = "{HOST}"\naccess_key = "A"\nsecret_key = "{SECRET}"\njournal = {text}\n'
    )
    expected = journal_file() if on is True else Path("/j") if on else None
    assert Config.load().journal == expected


# --- what notebooks show --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "shown"), [("0", False), ("No", False), ("off", False), ("1", True), ("", True)]
)
def test_progress_is_shown_unless_it_is_turned_off(profile, environ, given, shown):
    environ(ENDPOINT=HOST, ACCESS_KEY="A", SECRET_KEY=SECRET, SHOW_PROGRESS=given)
    assert Config.load().show_progress is shown
    assert Config.load(show_progress=not shown).show_progress is not shown


def test_progress_in_a_profile(profile):
    profile(
        f'[profiles.default]\nendpoint = "{HOST}"\naccess_key = "A"\nsecret_key = "{SECRET}"\nshow_progress = false'
    )
    assert Config.load().show_progress is False


def test_progress_that_is_neither(environ):
    with pytest.raises(ConfigError, match="show_progress: 1 is neither true nor false"):
        Config(endpoint=HOST, **KEYS, show_progress=1)
    environ(ENDPOINT=HOST, ACCESS_KEY="A", SECRET_KEY=SECRET, SHOW_PROGRESS="maybe")
    with pytest.raises(ConfigError, match="BACKEND_SHOW_PROGRESS: 'maybe' is neither 1 nor 0"):
        Config.load()
