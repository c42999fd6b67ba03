"""Finds the Python with the packages of the runs: imported first, it restarts a run with it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
VENV = ROOT / ".tools" / "venv" / "bin" / "python3"
try:
    import grpc_tools  # noqa: F401
except ImportError:
    # The run was started by hand, without the tools in PATH.
    if not VENV.exists() or Path(sys.executable) == VENV:
        sys.exit("grpcio-tools is missing: scripts/install-tools installs it")
    os.execv(VENV, [str(VENV), *sys.argv])

# Neither this program nor its children leave files behind.
sys.dont_write_bytecode = True
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
os.environ.setdefault("CLIENTELA", str(ROOT / "target" / "debug" / "clientela"))
