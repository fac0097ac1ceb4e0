"""Contract checks for plug-in authors, and a seeded incident to try things on.

Enters: an object of one of the seams (a source, codec, tier, detector, diagnosis check or panel). Leaves: nothing, or an
`AssertionError` of one sentence that says which promise it broke. The one idea: what the contracts say in words, these
functions say in behaviour, and every built-in passes them. Read `codecs.py` first, it is the shortest whole example.

    from workbench.testing import check_detector

    def test_my_detector():
        check_detector(MyDetector())
"""

from workbench.testing.checks import check_check
from workbench.testing.codecs import check_codec
from workbench.testing.detectors import check_detector
from workbench.testing.panels import check_panel
from workbench.testing.sources import check_source
from workbench.testing.tiers import check_tier
from workbench.testing.world import incident_world, quiet_scene

__all__ = [
    "check_check",
    "check_codec",
    "check_detector",
    "check_panel",
    "check_source",
    "check_tier",
    "incident_world",
    "quiet_scene",
]
