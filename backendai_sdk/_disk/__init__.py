"""The local side of file transfers: what is found, read, written and unpacked. Blocking: called in threads."""
