"""A device on loopback: a real sshd, a user's ssh configuration, and a proxy between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from proxy import Proxy
from sshd import SSHD, Client, Sshd

from workbench import Edgesmith

MakeServer = Callable[..., Sshd]


@pytest.fixture(scope="session")
def make_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeServer]:
    """Starts servers, which are stopped at the end."""
    if SSHD is None:
        pytest.skip("sshd is not installed (Debian: openssh-server)")
    servers: list[Sshd] = []

    def make(**more: Any) -> Sshd:
        server = Sshd(folder=tmp_path_factory.mktemp("sshd") / "a server", **more)
        servers.append(server)
        server.start()
        return server

    yield make
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def server(make_server: MakeServer) -> Sshd:
    """One server for all tests; each has a root folder of its own there."""
    return make_server()


@pytest.fixture
def proxy(server: Sshd) -> Iterator[Proxy]:
    one = Proxy(server.port)
    yield one
    one.close()


@pytest.fixture
def client(tmp_path: Path, server: Sshd, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A user who knows `board`, the server, and `far`, the same through the proxy."""
    client = Client.make(tmp_path / "user")
    client.add_host("board", server)
    client.add_host("far", server, port=proxy.port)
    client.trust(server)
    client.trust(server, proxy.port)
    monkeypatch.setenv("PATH", client.path)
    return client


@pytest.fixture
def board(digits: Edgesmith, client: Client) -> Edgesmith:
    """The built digits project, whose devices are over SSH."""
    file = digits.folder / "edgesmith.toml"
    text = file.read_text().replace('["desk"]', '["board"]')
    for name in ("board", "far"):
        text += f'\n[devices.{name}]\ntarget = "host"\ntransport = "ssh"\naddress = "{name}"\n'
        text += f'root = "{digits.folder.parent.name}"\n'
    file.write_text(text)
    return digits
