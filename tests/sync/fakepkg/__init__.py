"""A package with one of everything that tools/gen_sync.py translates; the test generates ``_sync`` from it."""
