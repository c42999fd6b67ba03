"""A proxy between a client and the server. It can cut connections, and is closed while the server is dead."""

from __future__ import annotations

import contextlib
import socket
import threading


class Network:
    """Forwards bytes from its own port to the server's, and cuts all connections on demand."""

    def __init__(self, port: int, server_port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self._port = port
        self._server_port = server_port
        self._listener: socket.socket | None = None
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()

    def open(self) -> None:
        """Begins to listen. The server must listen already."""
        listener = socket.create_server(("127.0.0.1", self._port), backlog=64)
        self._listener = listener
        threading.Thread(target=self._accept, args=[listener], daemon=True).start()

    def close(self) -> None:
        """Stops listening and cuts all connections."""
        if self._listener is not None:
            # Else the thread that accepts keeps the port open.
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.cut()

    def cut(self) -> None:
        """Cuts every connection; new ones are forwarded."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._server_port))
            except OSError:
                near.close()
                continue
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = (near, far)
            with self._lock:
                # A connection from before a close must not outlive it.
                if self._listener is not listener:
                    near.close()
                    far.close()
                    continue
                self._pairs.add(pair)
            for source, sink in (pair, pair[::-1]):
                threading.Thread(target=self._pass_on, args=[source, sink, pair], daemon=True).start()

    def _pass_on(
        self, source: socket.socket, sink: socket.socket, pair: tuple[socket.socket, socket.socket]
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        # If one direction has ended, neither a call nor a stream continues.
        for end in pair:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._pairs.discard(pair)
