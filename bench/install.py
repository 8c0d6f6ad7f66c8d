"""The product as a user has it: a wheel in a clean environment."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent


def install(into: Path) -> Path:
    """Build the wheel, install it with its locked dependencies into a new environment; returns its `bin` folder."""
    uv = Path(sys.executable).parent / "uv"
    wheels = into / "wheels"
    environment = into / "env"
    build: list[str | Path] = [
        uv,
        "build",
        "--wheel",
        "--no-build-isolation",
        "--offline",
        "--quiet",
        "--out-dir",
        wheels,
        ROOT,
    ]
    subprocess.run(build, check=True)
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin" / "python"
    install_into: list[str | Path] = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
    locked: list[str | Path] = ["--require-hashes", "-r", ROOT / "requirements" / "run.txt"]
    subprocess.run([*install_into, *locked], check=True)
    subprocess.run([*install_into, "--no-deps", "--offline", *wheels.glob("*.whl")], check=True)
    return environment / "bin"
