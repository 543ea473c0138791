"""The log: one JSON object a line, whatever a request holds."""

from __future__ import annotations

import json
import subprocess
import sys

CODE = r"""
import logging, warnings
from tarsia.service import logs
logs.configure()
logs.say("request", model='a"\n{"event": "forged"}\u2028', status=200)
logs.say("failed", logging.ERROR, ValueError("two\nlines"), request_id="r")
warnings.warn("something odd", stacklevel=1)
logs.say("detail", logging.DEBUG)
logging.getLogger("uvicorn.error").info("Started server process")
"""


def test_a_line_is_one_object_and_cannot_be_forged() -> None:
    """In a process of its own, for pytest adds handlers to every logger."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60)
    first, second, third = (json.loads(line) for line in done.stderr.splitlines())
    assert first["event"] == "request" and first["status"] == 200 and first["time"].endswith("Z")
    assert "forged" in first["model"]
    assert second["level"] == "error" and second["request_id"] == "r" and "two\nlines" in second["traceback"]
    assert "something odd" in third["event"] and third["level"] == "warning"
