"""What the service takes of uvicorn that uvicorn promises nobody: where that changes, this says so in one line."""

from __future__ import annotations

import asyncio
import inspect

import pytest
import uvicorn
from uvicorn.config import Config
from uvicorn.protocols.http import h11_impl
from uvicorn.server import ServerState

BUILT_ON = (
    f"uvicorn {uvicorn.__version__} has changed, on which src/tarsia/service/{{}}.py builds: {{}}; mend it there, "
    "or keep uvicorn below this version in pyproject.toml"
)
CALLED = {
    "connection_made": ("transport",),
    "connection_lost": ("exc",),
    "data_received": ("data",),
    "pause_writing": (),
    "resume_writing": (),
    "on_response_complete": (),
    "send_400_response": ("msg",),
}


def told(file: str, what: str) -> str:
    return BUILT_ON.format(file, what)


@pytest.mark.parametrize("name", CALLED)
def test_a_connection_is_told_of_what_happens(name: str) -> None:
    found = getattr(h11_impl.H11Protocol, name, None)
    assert found is not None, told("connections", f"H11Protocol.{name} is gone")
    takes = tuple(inspect.signature(found).parameters)[1:]
    assert takes == CALLED[name], told("connections", f"H11Protocol.{name} takes {takes}, expected {CALLED[name]}")


def test_a_connection_knows_what_it_is_doing() -> None:
    async def made() -> h11_impl.H11Protocol:
        return h11_impl.H11Protocol(
            config=Config(app=None, log_config=None), server_state=ServerState(), app_state={"a": 1}
        )  # type: ignore[arg-type]

    protocol = asyncio.run(made())
    for name, expected in (("cycle", type(None)), ("app_state", dict), ("connections", set), ("transport", object)):
        assert hasattr(protocol, name), told("connections", f"a H11Protocol has no `{name}`")
        found = type(getattr(protocol, name))
        assert issubclass(found, expected), told("connections", f"`{name}` is a {found.__name__}")
    assert hasattr(protocol, "loop"), told("connections", "a H11Protocol has no `loop`")
    source = inspect.getsource(h11_impl.RequestResponseCycle)
    assert "self.response_complete" in source, told("connections", "a cycle has no `response_complete`")


def test_a_connection_s_state_reaches_the_application() -> None:
    """`crowded` gets to the envelope so, each request a copy."""
    source = inspect.getsource(h11_impl.H11Protocol.handle_events)
    assert "self.app_state.copy()" in source, told("connections", "app_state is no longer copied into the scope")


@pytest.mark.parametrize(("name", "takes"), [("handle_exit", ("sig", "frame")), ("on_tick", ("counter",))])
def test_the_server_is_told_of_signals_and_ticks(name: str, takes: tuple[str, ...]) -> None:
    found = getattr(uvicorn.Server, name, None)
    assert found is not None, told("server", f"Server.{name} is gone")
    assert tuple(inspect.signature(found).parameters)[1:] == takes, told(
        "server", f"Server.{name} takes other arguments"
    )


def test_the_server_says_and_does_when_it_is_to_end() -> None:
    server = uvicorn.Server(Config(app=None, log_config=None))  # type: ignore[arg-type]
    for name in ("should_exit", "force_exit", "started", "server_state"):
        assert hasattr(server, name), told("server", f"a Server has no `{name}`")
