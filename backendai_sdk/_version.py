"""The version, in one place: the build reads it, and requests carry it in ``User-Agent``."""

__version__ = "0.1.0.dev0"
