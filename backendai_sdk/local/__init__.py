"""A whole cluster in this process: a real HTTP server on loopback that speaks the manager's protocol and runs code.

Assumes nothing of the rest of the package, on purpose: it has its own signature check and its own encoders, so that
one mistake cannot hide on both sides. Needs the extra `local` (graphql-core).
"""

from __future__ import annotations

from .accounts import Keypair
from .cluster import LocalCluster
from .images import DEFAULT_IMAGES, Image
from .records import SessionSnapshot
from .scheduler import Agent

__all__ = ["DEFAULT_IMAGES", "Agent", "Image", "Keypair", "LocalCluster", "SessionSnapshot"]
