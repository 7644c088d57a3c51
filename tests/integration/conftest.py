"""Loads kafka-python once, where its warning is known."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    # kafka-python 3.0 reads its message schemas with a call that Python 3.11 calls deprecated (and 3.13 does
    # not any more); every class of its protocol warns when it is first imported.
    warnings.filterwarnings("ignore", "(read_text|open_text) is deprecated", DeprecationWarning)
    import kafka  # noqa: F401
