"""Open enums: an unknown word is kept, equals its string, and survives copying and pickling."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backendai_sdk.enums import ClusterMode, OpenEnum, Phase, SessionResult, SessionStatus, SessionType

KINDS = [SessionStatus, SessionType, SessionResult, ClusterMode, Phase]


@pytest.mark.parametrize("kind", KINDS)
@given(st.text())
def test_any_word_is_kept(kind, word):
    member = kind(word)
    assert isinstance(member, kind)
    if not member.is_known:
        assert member == word
        assert hash(member) == hash(word)
        assert (member.value, member.name, str(member)) == (word, word, word)
        assert word not in list(kind)
    for same in (pickle.loads(pickle.dumps(member)), copy.copy(member), copy.deepcopy(member), kind(member)):
        assert same == member
        assert type(same) is kind
        assert same.is_known == member.is_known
    assert json.loads(json.dumps(member)) == member.value


@pytest.mark.parametrize("kind", KINDS)
def test_known_words_are_single(kind):
    for member in kind:
        assert member.is_known
        assert kind(member.value) is member
        assert pickle.loads(pickle.dumps(member)) is member
        assert member == str(member) == f"{member}" == member.value


@pytest.mark.parametrize("value", [None, 5, b"RUNNING", ["RUNNING"]])
def test_only_words(value):
    with pytest.raises(ValueError):
        SessionStatus(value)


def test_an_unknown_word_does_not_become_known():
    before = len(SessionStatus)
    assert not SessionStatus("HIBERNATED").is_known
    assert not SessionStatus("HIBERNATED").is_known
    assert len(SessionStatus) == before
    assert {SessionStatus("HIBERNATED"), SessionStatus("HIBERNATED"), "HIBERNATED"} == {"HIBERNATED"}


@pytest.mark.parametrize(
    ("kind", "word", "member"),
    [
        (SessionType, "INTERACTIVE", SessionType.INTERACTIVE),
        (SessionType, "Batch", SessionType.BATCH),
        (ClusterMode, "SINGLE_NODE", ClusterMode.SINGLE_NODE),
        (ClusterMode, "Multi-Node", ClusterMode.MULTI_NODE),
    ],
)
def test_spellings_of_other_releases(kind, word, member):
    assert kind(word) is member


def test_what_a_status_means():
    dead = {s for s in SessionStatus if s.is_dead}
    assert dead == {SessionStatus.CANCELLED, SessionStatus.TERMINATED}
    assert {s for s in SessionStatus if s.is_running} == {
        SessionStatus.RUNNING,
        SessionStatus.RUNNING_DEGRADED,
    }
    unknown = SessionStatus("HIBERNATED")
    assert not unknown.is_dead
    assert not unknown.is_running
    assert issubclass(SessionStatus, OpenEnum)
