"""The tree of errors: one root, as drawn; every error can be pickled and shown."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from backendai_sdk import errors

KINDS = [getattr(errors, name) for name in errors.__all__]


def test_all_are_public_and_of_one_root():
    classes = {c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, BaseException)}
    assert classes == set(KINDS)
    assert all(issubclass(c, errors.BackendAIError) for c in KINDS)
    assert list(errors.__all__) == sorted(errors.__all__)
    assert all(inspect.getdoc(c) for c in KINDS)


def test_the_drawing_names_every_error_with_its_parent():
    drawing = errors.__doc__.split("::\n")[1]
    words = set(re.findall(r"\w+", drawing))
    assert {c.__name__ for c in KINDS} <= words
    # A line's depth says whose child its first error is.
    stack: list[tuple[int, type]] = []
    for line in drawing.strip("\n").splitlines():
        found = re.search(r"[A-Z]\w+", line)
        depth, kind = found.start(), getattr(errors, found[0])
        while stack and stack[-1][0] >= depth:
            stack.pop()
        if stack:
            assert issubclass(kind, stack[-1][1]), line
        stack.append((depth, kind))
    assert stack[0][1] is errors.BackendAIError


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.InvalidArgument, ValueError),
        (errors.UsageError, RuntimeError),
        (errors.DeadlineExceeded, TimeoutError),
        (errors.RequestTimeout, TimeoutError),
        (errors.SessionTimeout, TimeoutError),
        (errors.ExecutionTimeout, TimeoutError),
    ],
)
def test_those_that_are_errors_of_python_too(kind, builtin):
    assert issubclass(kind, builtin)


def test_no_answer_and_a_refusal_are_apart():
    assert not issubclass(errors.TransportError, errors.APIError)
    assert not issubclass(errors.APIError, errors.TransportError)
    assert not issubclass(errors.SessionError, errors.APIError | errors.TransportError)


@pytest.mark.parametrize("kind", KINDS, ids=lambda c: c.__name__)
def test_they_travel_between_processes(kind):
    values = {
        name: ("x",) if name in {"attempts", "received", "outputs"} else "x"
        for name, p in inspect.signature(kind.__init__).parameters.items()
        if p.kind is p.KEYWORD_ONLY
    }
    error = kind("what to do", **values)
    for same in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(same) is kind
        assert str(same) == "what to do"
        assert vars(same) == vars(error)
    for name, value in values.items():
        assert getattr(error, name) == value


def test_sequences_are_frozen():
    attempts = [errors.ConnectError("a")]
    error = errors.ConnectError("b", attempts=attempts)
    attempts.clear()
    assert len(error.attempts) == 1
    assert errors.StreamInterrupted("x", received=["a"], method="GET").received == ("a",)
    assert errors.ExecutionTimeout("x", outputs=["a"]).outputs == ("a",)
