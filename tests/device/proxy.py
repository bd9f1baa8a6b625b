"""A TCP proxy that counts, slows down, and does harm after so many bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Literal

Harm = Literal["none", "cut", "stall", "flip"]
_CHUNK_BYTES = 1 << 14


class Proxy:
    """Forwards to a port of this machine.

    When `after` bytes have gone to the server, connections are cut, or nothing is forwarded any
    more, or a bit of the next byte is flipped. `bytes_per_s` limits what goes to the server.
    """

    def __init__(self, to_port: int, *, bytes_per_s: float = 0.0) -> None:
        self.sent_bytes = 0
        self.harm: Harm = "none"
        self.after = 0
        self._stalls = False
        self._bytes_per_s = bytes_per_s
        self._to_port = to_port
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def do_harm(self, harm: Harm, after: int) -> None:
        """The count begins anew."""
        self.harm, self.after, self.sent_bytes = harm, after, 0
        self._stalls = False

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Ends every connection, also those that were stalled."""
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._open.clear()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._to_port))
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open += [client, server]
            for source, target, up in ((client, server, True), (server, client, False)):
                threading.Thread(
                    target=self._forward, args=(source, target, up), daemon=True
                ).start()

    def _forward(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK_BYTES):
                if self._stalls:
                    return
                if up:
                    data = self._counted(data)
                target.sendall(data)
                if up and self._bytes_per_s:
                    time.sleep(len(data) / self._bytes_per_s)
            target.shutdown(socket.SHUT_WR)

    def _counted(self, data: bytes) -> bytes:
        """The data to send on, up to where harm begins."""
        room = self.after - self.sent_bytes
        if self.harm == "none" or len(data) <= room:
            self.sent_bytes += len(data)
            return data
        self.sent_bytes = self.after
        match self.harm:
            case "cut":
                self.cut()
            case "stall":
                self._stalls = True
            case "flip":
                self.harm = "none"
                return data[:room] + bytes([data[room] ^ 1]) + data[room + 1 :]
        return data[:room]
