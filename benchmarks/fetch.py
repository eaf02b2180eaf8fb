"""The source of ten published PyTorch packages, downloaded and unpacked, never installed."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

PACKAGES = (
    "transformers==5.23.0",
    "diffusers",
    "timm",
    "kornia",
    "pyro-ppl",
    "nflows",
    "x-transformers",
    "vit-pytorch",
    "denoising-diffusion-pytorch",
    "stable-baselines3",
)


def sources(folder: Path) -> Path:
    """`folder/sources/<archive name>/...` for each package; what is already there is kept."""
    archives, unpacked = folder / "archives", folder / "sources"
    archives.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        name = package.partition("==")[0].replace("-", "_")
        if not any(p.name.lower().replace("-", "_").startswith(name) for p in archives.iterdir()):
            pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(archives), package]
            subprocess.run(pip, check=True)
    for archive in sorted(archives.iterdir()):
        target = unpacked / archive.name.removesuffix(".whl").removesuffix(".tar.gz")
        if target.exists():
            continue
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                wheel.extractall(target)
        else:
            with tarfile.open(archive) as sdist:
                sdist.extractall(target, filter="data")
    return unpacked
