"""A client that calls and hardly reads: it answers pings, so that its connection stays open, and opens no
window for answers."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from google.protobuf.message import Message
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, ResponseReceived, StreamEnded, StreamReset, TrailersReceived
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

# More than a server sends of its own accord.
BUFFER = 64 * 1024
# The gRPC status of a call that is refused for overload.
RESOURCE_EXHAUSTED = 8


class Deaf:
    """A connection that accepts at most `window` bytes of each answer."""

    def __init__(self, port: int, key: str, window: int) -> None:
        self._key = key
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._lock = threading.Lock()
        self._h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        self._h2.local_settings = type(self._h2.local_settings)(
            client=True, initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window}
        )
        self._h2.initiate_connection()
        # The window of the connection has room for the next answer, whatever one answer leaves unread.
        self._h2.increment_flow_control_window(2**30)
        self._send()
        # By stream: the gRPC status, once it is known, or None.
        self.statuses: dict[int, int | None] = {}
        # The streams whose answer has begun.
        self.answered: set[int] = set()
        self.is_closed = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _send(self) -> None:
        self._socket.sendall(self._h2.data_to_send())

    def call(self, path: str, request: Message) -> int:
        """Begins a call, does not wait for its answer, and returns the number of its stream."""
        body = request.SerializeToString()
        frame = b"\0" + len(body).to_bytes(4, "big") + body
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "127.0.0.1"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("authorization", f"Bearer {self._key}"),
        ]
        with self._lock:
            stream = self._h2.get_next_available_stream_id()
            self.statuses[stream] = None
            self._h2.send_headers(stream, headers)
            self._h2.send_data(stream, frame, end_stream=True)
            self._send()
        return stream

    def leave(self, stream: int) -> None:
        """Cancels a call, as a client does after its deadline."""
        with self._lock, contextlib.suppress(ProtocolError, OSError):
            self._h2.reset_stream(stream, error_code=8)
            self._send()

    def refused(self, *, overload: bool) -> int:
        """Returns the number of refused calls so far: for overload, or for other reasons."""
        refused = [status for status in list(self.statuses.values()) if status]
        return sum((status == RESOURCE_EXHAUSTED) == overload for status in refused)

    def wait_for_answers(self, patience: float) -> None:
        """Waits until the answer of every call has begun, or the connection is closed."""
        deadline = time.monotonic() + patience
        while len(self.answered) < len(self.statuses) and not self.is_closed.is_set():
            if time.monotonic() > deadline:
                return
            time.sleep(0.05)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _read(self) -> None:
        with contextlib.suppress(OSError, ProtocolError):
            while data := self._socket.recv(BUFFER):
                with self._lock:
                    for event in self._h2.receive_data(data):
                        self._note(event)
                    self._send()
        self.is_closed.set()

    def _note(self, event: object) -> None:
        match event:
            case ResponseReceived() | TrailersReceived():
                self.answered.add(event.stream_id)
                status = dict(event.headers).get("grpc-status")
                if status is not None:
                    self.statuses[event.stream_id] = int(status)
            case StreamReset() | StreamEnded():
                self.statuses[event.stream_id] = self.statuses[event.stream_id] or 0
            case ConnectionTerminated():
                self.is_closed.set()
