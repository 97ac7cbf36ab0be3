"""What a kernel can refuse. The routes turn these into the answers a manager gives."""

from __future__ import annotations


class RunBusy(Exception):
    """Another run of this session stayed unfinished for longer than the agent's time limit."""


class RunParameterError(Exception):
    """An execute call that makes no sense, with the text a manager would answer."""
