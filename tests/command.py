"""The command `floodmark` run within the test: what it prints, and its status.

A process of its own would import the libraries again, two seconds each time; tests that need one start it
themselves.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from unittest import mock

from streams import baseline_cli, cli, dead_cli
from streams.settings import PREFIX

WIDTH = 200


def floodmark(*arguments: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
    """Run it with these settings and no others, with nothing on standard input.

    Parameters
    ----------
    environ : mapping
        All environment variables.
    """
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    with ExitStack() as exits:
        for name, value in {"argv": ["floodmark", *arguments], "stdout": out, "stderr": err}.items():
            exits.enter_context(mock.patch.object(sys, name, value))
        exits.enter_context(mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(), "utf-8")))
        exits.enter_context(mock.patch.dict(os.environ, {**environ, "COLUMNS": str(WIDTH)}, clear=True))
        modules = (cli, dead_cli, baseline_cli)
        for console in (console for module in modules for console in (module._out, module._err)):
            exits.enter_context(mock.patch.object(console, "_width", WIDTH))
        try:
            cli.main()
        except SystemExit as ended:
            status = ended.code
    out.flush()
    err.flush()
    assert isinstance(status, int)
    return subprocess.CompletedProcess(arguments, status, _written(out), _written(err))


def said(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The same, as text; `environ` is added to what the test inherited."""
    done = floodmark(*arguments, environ=inherited() | environ)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def inherited() -> dict[str, str]:
    """The environment of the test without Floodmark's settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}


def _written(stream: io.TextIOWrapper) -> bytes:
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue()
