"""The decoders under bad input: a sample of what `tools/fuzz.py` does a hundred thousand times."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from by_path import load

fuzz = load("fuzz", Path(__file__).parents[2] / "tools" / "fuzz.py")


@pytest.fixture(scope="module")
def material():
    return fuzz.Material(fuzz.CAPTURED)


@pytest.mark.parametrize("decoder", fuzz.DECODERS)
def test_nothing_but_errors_of_ours(decoder, material):
    found = fuzz.fuzz(decoder, 400, 26, material)
    assert found.defects == ()
    assert found.kinds > 1 or decoder == "runs", "all inputs were the same"


def test_a_defect_is_found_with_its_input(monkeypatch, material):
    monkeypatch.setattr(fuzz, "read_frame", lambda frame: [][len(frame)])
    found = fuzz.fuzz("frames", 3, 1, material)
    assert len(found.defects) == 3
    said, given = found.defects[0]
    assert said.startswith("frames-1-0: IndexError(")
    assert given


def test_the_same_seed_gives_the_same_inputs(material):
    for decoder, feed in fuzz.DECODERS.items():
        first, second = (feed(material, random.Random(decoder)) for _ in range(2))
        assert first == second
