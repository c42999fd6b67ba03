"""Tests of the functions that write messages."""

from __future__ import annotations

import unittest
from decimal import Decimal
from typing import Any

import clientela


class Messages(unittest.TestCase):
    def test_a_target_names_a_cart_or_its_owner(self) -> None:
        self.assertEqual(clientela.cart("carts/a").cart, "carts/a")
        self.assertEqual(clientela.customer_cart("customers/ada").owner.customer, "customers/ada")
        self.assertEqual(clientela.visitor_cart("a-token-of-a-visitor").owner.visitor, "a-token-of-a-visitor")

    def test_money_is_exact(self) -> None:
        largest = 2**53 - 1
        wanted: dict[Any, int] = {
            "11.90": 11_900_000, "0": 0, "-0.01": -10_000, "13.445378": 13_445_378, "007": 7_000_000,
            "9007199254.740991": largest, "-9007199254.740991": -largest, 12: 12_000_000,
            Decimal("1E+2"): 100_000_000, Decimal("0.10"): 100_000,
        }  # fmt: skip
        for amount, micros in wanted.items():
            money = clientela.money("EUR", amount)
            self.assertEqual((money.currency_code, money.micros), ("EUR", micros), amount)

    def test_money_that_is_not_a_decimal_number_is_refused(self) -> None:
        amounts = ["", "11,90", "1.2345678", "1e3", ".5", "1.", "+1", " 1", "1\n", "٣", "9007199254.740992", Decimal("NaN")]
        for amount in amounts:
            with self.assertRaisesRegex(ValueError, "amount"):
                clientela.money("EUR", amount)
        inexact: Any = 11.9
        with self.assertRaisesRegex(TypeError, "float"):
            clientela.money("EUR", inexact)
