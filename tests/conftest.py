"""What every test may use: the folder of real cases, if it is here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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
