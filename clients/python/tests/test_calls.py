"""Tests of calls: their headers, their repetition, their errors."""

from __future__ import annotations

import os
import unittest
from unittest import mock

import clientela
import grpc
from clientela import v1
from scripted import Scripted, serving


class Calling(unittest.TestCase):
    def test_a_call_is_repeated_with_one_request_id_and_the_key(self) -> None:
        servicer, request = Scripted(), v1.ClearCartRequest()
        servicer.failing = 2
        with serving(servicer) as address:
            with clientela.connect(address, "clt_k", shop="shops/a", actor="ada", on_behalf_of="bob") as client:
                client.carts.ClearCart(request)
                client.carts.ClearCart(request)
        ids = [request_id for request_id, _ in servicer.calls]
        self.assertEqual(len(ids), 4)
        self.assertEqual(len(set(ids[:3])), 1)
        self.assertTrue(ids[0] and ids[3] and ids[0] != ids[3])
        self.assertEqual(request, v1.ClearCartRequest())
        sent = servicer.calls[0][1]
        self.assertEqual(sent["authorization"], "Bearer clt_k")
        self.assertEqual((sent["clientela-shop"], sent["clientela-actor"]), ("shops/a", "ada"))
        self.assertEqual(sent["clientela-on-behalf-of"], "bob")

    def test_a_request_id_of_the_caller_is_kept(self) -> None:
        servicer = Scripted()
        with serving(servicer) as address, clientela.connect(address, "clt_k") as client:
            client.carts.ClearCart(v1.ClearCartRequest(request_id="mine"))
        self.assertEqual([request_id for request_id, _ in servicer.calls], ["mine"])

    def test_a_call_without_a_server_is_unavailable(self) -> None:
        with serving(Scripted()) as address:
            pass
        with clientela.connect(address, "clt_k") as client, self.assertRaises(clientela.Error) as caught:
            client.carts.ClearCart(v1.ClearCartRequest())
        self.assertEqual((caught.exception.code, caught.exception.reason), (grpc.StatusCode.UNAVAILABLE, ""))

    def test_a_client_without_a_key_is_refused_before_any_call(self) -> None:
        for connect in (clientela.connect, clientela.connect_async):
            for key in (None, ""):
                with mock.patch.dict(os.environ, {"CLIENTELA_API_KEY": ""}), self.assertRaises(clientela.Error) as caught:
                    connect("127.0.0.1:1", key)
                self.assertEqual(caught.exception.reason, "KEY_MISSING")
                self.assertEqual(caught.exception.code, grpc.StatusCode.UNAUTHENTICATED)
                self.assertIn("CLIENTELA_API_KEY", str(caught.exception))

    def test_the_text_of_an_error_names_every_violation(self) -> None:
        error = clientela.Error(grpc.StatusCode.INVALID_ARGUMENT, "2 fields are invalid", "INVALID_FIELD")
        self.assertEqual(str(error), "INVALID_FIELD: 2 fields are invalid")
        error.violations = [
            clientela.Violation("customer.email", "MALFORMED", "is not an e-mail address"),
            clientela.Violation("customer.phone", "TOO_LONG", "is too long"),
        ]
        wanted = "INVALID_FIELD: customer.email: is not an e-mail address; customer.phone: is too long"
        self.assertEqual(str(error), wanted)
