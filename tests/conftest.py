"""What every test may use: the folder of real cases, if it is here; and kafka-python, loaded once."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

with warnings.catch_warnings():
    # kafka-python 3.0 reads its message schemas with a call that Python 3.11 calls deprecated (and 3.13 does
    # not any more); every class of its protocol warns when it is first imported.
    warnings.filterwarnings("ignore", "(read_text|open_text) is deprecated", DeprecationWarning)
    import kafka  # noqa: F401 - so that tests find it loaded

DEFAULT_CASES = Path(__file__).parent.parent.parent / "shared" / "cases"


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of real cases; tests that need it are skipped, visibly, where it is absent.

    With FLOODMARK_REQUIRE=cases in the environment (as in CI) its absence is a failure.
    """
    folder = Path(os.environ.get("FLOODMARK_CASES", DEFAULT_CASES))
    if not folder.is_dir():
        reason = f"the real cases are not at {folder}; set FLOODMARK_CASES to their folder"
        if "cases" in os.environ.get("FLOODMARK_REQUIRE", ""):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
