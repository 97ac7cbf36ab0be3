"""Brings up complete, real Backend.AI clusters on one Debian machine; see docs/how-to/real-clusters.md."""
