"""Prints the module `clientela.v1.reasons`: python reasons.py DESCRIPTORS, where DESCRIPTORS is a file of protoc."""

from __future__ import annotations

import sys
from pathlib import Path

from google.protobuf import descriptor_pb2

files = descriptor_pb2.FileDescriptorSet.FromString(Path(sys.argv[1]).read_bytes()).file
[reasons] = [enum for file in files for enum in file.enum_type if enum.name == "ErrorReason"]
print('"""The reasons of errors, generated from the contract\'s `ErrorReason`."""\n')
print("from typing import Literal\n")
print("Reason = Literal[")
for name in ("", *(value.name for value in reasons.value if value.number)):
    print(f'    "{name}",')
print("]")
print('"""Why the server refused a call; docs/ERRORS.md of the server says what to do. Empty if it did not answer."""')
