"""The wire protocol as pure functions: bytes and values in, values out; no loop, no socket, no clock."""
