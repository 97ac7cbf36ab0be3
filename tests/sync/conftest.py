"""What the tests of this folder share."""

from __future__ import annotations

from pathlib import Path

from by_path import load

load("sync_child", Path(__file__).with_name("child.py"))
