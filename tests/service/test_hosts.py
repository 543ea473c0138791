"""On this machine alone and without a key, a service answers to this machine's names: a stranger's page has another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from small_service import Program, answer, client, encoded, model_file, pixels, program
from tarsia.errors import RecipeError
from tarsia.service.hosts import Hosts

KEY = "a key that nobody guesses"
HERE = ["localhost", "localhost:8000", "LocalHost", "localhost.", "localhost.:80", "127.0.0.1", "127.0.0.1:8000"]
HERE += ["127.4.5.6:1", "[::1]", "[::1]:8000", "[0:0:0:0:0:0:0:1]", "localhost:"]
STRANGE = ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example."]
STRANGE += ["", "::1", "[127.0.0.1]", "localhost:80:80", "localhost:x", "x@localhost", "localhost/", "localhost evil"]
STRANGE += ["10.0.0.1", "0.0.0.0", "[::]", "[::2]:8000", "1.localhost.x", "xn--localhost", "127.0.0.1@evil.example"]


@pytest.mark.parametrize("hosts", [Hosts(checked=True), Hosts(["cam.example"], checked=True)])
def test_names_of_this_machine(hosts: Hosts) -> None:
    app = client(hosts=hosts)
    for host in HERE:
        assert app.get("/v1/models", headers={"Host": host}).status_code == 200, host
    for host in STRANGE:
        for path in ("/v1/models", "/", "/metrics", "/openapi.json", "/healthz", "/v1/examples", "/nowhere"):
            found = app.get(path, headers={"Host": host})
            assert found.status_code == 421 and found.json()["type"] == "urn:tarsia:host", host
            assert "--allowed-host" in found.json()["detail"] and "x-request-id" in found.headers
    assert 'tarsia_refused_total{reason="host"}' in app.get("/metrics", headers={"Host": "localhost"}).text


def test_names_that_were_given() -> None:
    app = client(hosts=Hosts(["Cam.Example.org", "[fe80::1]:80", "other"], checked=True))
    for host in ("cam.example.org", "CAM.example.ORG.:8000", "other:1", "[FE80::1]", *HERE):
        assert app.get("/v1/models", headers={"Host": host}).status_code == 200, host
    for host in ("example.org", "x.cam.example.org", "cam.example.org.evil", "fe80::1"):
        assert app.get("/v1/models", headers={"Host": host}).status_code == 421, host


@pytest.mark.parametrize("name", ["", "http://cam.example.org", "a b", "cam/x", "*", "*.example"])
def test_what_is_no_name_is_an_error(name: str) -> None:
    with pytest.raises(RecipeError, match=r"allowed_hosts=\[.*expected a name"):
        Hosts([name])


def test_an_application_of_its_own_answers_to_any_name() -> None:
    assert client().get("/v1/models", headers={"Host": "evil.example"}).status_code == 200


def asked(served: Program, head: str, path: str = "/v1/models") -> int:
    with served.connect(f"GET {path} {head}Connection: close\r\n\r\n".encode()) as made:
        return answer(made)[0]


def test_a_program_on_this_machine_is_checked(tmp_path: Path) -> None:
    with program(model_file(tmp_path), "--allowed-host", "cam.example", "--allowed-host", "other.example:80") as served:
        for host in (f"127.0.0.1:{served.port}", "localhost", "cam.example", f"other.example:{served.port}"):
            assert asked(served, f"HTTP/1.1\r\nHost: {host}\r\n") == 200
        assert asked(served, "HTTP/1.1\r\nHost: evil.example\r\n") == 421
        assert asked(served, "HTTP/1.0\r\n") == 421, "none at all"
        assert asked(served, "HTTP/1.1\r\n") == 400
        assert asked(served, "HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n") in (400, 421)
        body = encoded(pixels())
        head = "POST /v1/segment HTTP/1.1\r\nHost: evil.example\r\nContent-Type: image/png\r\nConnection: close\r\n"
        with served.connect(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body) as made:
            status, said = answer(made)
        assert status == 421 and "evil.example" in json.loads(said)["detail"]


@pytest.mark.parametrize(("options", "environment"), [((), {"TARSIA_API_KEY": KEY}), (("--host", "0.0.0.0"), {})])
def test_where_it_is_not_checked(tmp_path: Path, options: tuple[str, ...], environment: dict[str, str]) -> None:
    """With a key a stranger's page gets nowhere; every address of the machine may have any name."""
    with program(model_file(tmp_path), *options, **environment) as served:
        key = f"X-API-Key: {KEY}\r\n" if environment else ""
        assert asked(served, f"HTTP/1.1\r\nHost: evil.example\r\n{key}") == 200
        assert asked(served, "HTTP/1.1\r\nHost: evil.example\r\n") == (401 if environment else 200)
