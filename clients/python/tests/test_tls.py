"""Tests of TLS: with the test's own authority, with a foreign one, and for hosts other than this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

import clientela
import grpc
from clientela import v1
from scripted import PATIENCE, Scripted, serving


def certified() -> tuple[bytes, bytes]:
    """A key and a self-signed certificate of this machine."""
    with tempfile.TemporaryDirectory(prefix="clientela-") as folder:
        key, certificate = Path(folder, "key.pem"), Path(folder, "certificate.pem")
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
        command = ["openssl", "req", "-x509", *kind, *subject, "-keyout", str(key), "-out", str(certificate)]
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
        return key.read_bytes(), certificate.read_bytes()


def clear(address: str, **options: Any) -> Any:
    """Calls with a key."""
    with clientela.connect(address, "clt_k", **options) as client:
        return client.carts.ClearCart(v1.ClearCartRequest())


def clear_async(address: str, **options: Any) -> Any:
    """The same with asyncio."""

    async def call() -> Any:
        async with clientela.connect_async(address, "clt_k", **options) as client:
            return await client.carts.ClearCart(v1.ClearCartRequest())

    return asyncio.run(call())


class Certificates(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        key, cls.certificate = certified()
        cls.credentials = grpc.ssl_server_credentials([(key, cls.certificate)])

    def test_a_server_is_spoken_to_over_tls_with_the_authority_that_is_named(self) -> None:
        for how in (clear, clear_async):
            servicer = Scripted()
            with serving(servicer, credentials=self.credentials) as address:
                how(address, tls=grpc.ssl_channel_credentials(self.certificate))
            self.assertEqual([sent["authorization"] for _, sent in servicer.calls], ["Bearer clt_k"])

    def test_a_server_that_nobody_vouches_for_gets_no_call_and_no_key(self) -> None:
        # The authorities of the system, and a server without TLS.
        for credentials in (self.credentials, None):
            for how in (clear, clear_async):
                servicer = Scripted()
                with serving(servicer, credentials=credentials) as address:
                    with self.assertRaises(clientela.Error) as caught:
                        how(address, tls=grpc.ssl_channel_credentials())
                    with self.assertRaises(clientela.Error):
                        how(address, plaintext=False)
                self.assertEqual((caught.exception.code, caught.exception.reason), (grpc.StatusCode.UNAVAILABLE, ""))
                self.assertEqual(servicer.calls, [])


class Proxy:
    """Accepts a connection to any host, and records the host and the first bytes."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        address = "http://{0}:{1}".format(*self._listener.getsockname())
        environment = {"grpc_proxy": address, "no_grpc_proxy": "", "no_proxy": ""}
        self._environment = mock.patch.dict(os.environ, environment)
        self.heard: list[str] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Proxy:
        self._environment.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._environment.stop()

    def _run(self) -> None:
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rb") as lines, self._listener:
            connection.settimeout(PATIENCE)
            self.heard.append(lines.readline().decode().split()[1])
            while lines.readline().strip():
                pass
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
            # In plaintext the preface of HTTP/2 comes first, over TLS a handshake.
            self.heard.append({b"PRI": "plaintext", b"\x16\x03\x01": "tls"}.get(first := lines.read(3), repr(first)))

    def end(self) -> list[str]:
        """The host of the connection, and whether it used TLS."""
        self._thread.join(PATIENCE)
        return self.heard


def first_words(address: str, **options: Any) -> list[str]:
    """Returns the host that a call connects to, and whether it uses TLS."""
    with Proxy() as proxy, clientela.connect(address, "clt_k", **options) as client:

        def call() -> None:
            # Nobody answers; the end of the client ends it.
            with contextlib.suppress(clientela.Error, ValueError):
                client.carts.ClearCart(v1.ClearCartRequest())

        threading.Thread(target=call, daemon=True).start()
        return proxy.end()


def first_words_async(address: str, **options: Any) -> list[str]:
    """The same with asyncio."""

    async def follow() -> list[str]:
        async with clientela.connect_async(address, "clt_k", **options) as client:
            call = asyncio.create_task(client.carts.ClearCart(v1.ClearCartRequest()))
            heard = await asyncio.to_thread(proxy.end)
            call.cancel()
            await asyncio.wait([call])
            return heard

    with Proxy() as proxy:
        return asyncio.run(follow())


class Hosts(unittest.TestCase):
    def expect(self, wanted: str, address: str, **options: Any) -> None:
        for how in (first_words, first_words_async):
            self.assertEqual(how(address, **options), [address.removeprefix("dns:///"), wanted])

    def test_only_loopback_is_plaintext_without_being_asked(self) -> None:
        for address in ("127.0.0.1:1", "localhost:1", "[::1]:1", "dns:///127.0.0.1:1"):
            self.expect("plaintext", address)
        self.expect("tls", "127.0.0.1:1", tls=grpc.ssl_channel_credentials())
        self.expect("tls", "127.0.0.1:1", plaintext=False)
        for host in ("shop.example.test:443", "10.0.0.1:1", "[2001:db8::1]:1"):
            self.expect("tls", host)
        for host in ("localhost.example.test:1", "127.0.0.1.example.test:1", "dns:///shop.example.test:443"):
            self.expect("tls", host)

    def test_another_host_is_sent_plaintext_if_that_is_asked_for(self) -> None:
        self.expect("plaintext", "shop.example.test:443", plaintext=True)
