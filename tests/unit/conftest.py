"""Hypothesis for machines that do other things as well: no time limit for a single example."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
