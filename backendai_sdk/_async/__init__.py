"""The hand-written cores; the blocking classes in ``_sync`` are generated from them."""
