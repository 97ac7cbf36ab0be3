"""What is particular to each supported release."""

from __future__ import annotations

from realcluster.releases.base import Release
from realcluster.releases.r23_9_10 import Release239
from realcluster.releases.r26_9_6 import Release269

RELEASES: dict[str, Release] = {release.version: release for release in (Release239(), Release269())}
