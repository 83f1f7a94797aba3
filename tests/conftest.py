"""Settings for all tests."""

import signal

from hypothesis import Phase, settings

# A shell starts background jobs with Ctrl-C ignored, and their children inherit that. The tests of
# Ctrl-C need the handler that Python installs otherwise.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Not Phase.explain, which traces all code: failing tests of the command would take minutes.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
# The same examples on every run, and no deadline, so that no test fails now and then.
settings.register_profile(
    "hangtag",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=30,
    phases=_PHASES,
)
# `make fuzz`: other examples on each run, and those that failed before first.
settings.register_profile(
    "fuzz", deadline=None, max_examples=200, print_blob=True, phases=_PHASES
)
settings.load_profile("hangtag")
