"""A city as `ztcd init` makes it, read by the independent reader."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build" / "release"))
PLACES = [BUILD / "ztcd", BUILD / "server" / "ztcd"]
ZTCD = pathlib.Path(os.environ.get("ZTCD", next((p for p in PLACES if p.exists()), PLACES[0])))
READER = ROOT / "tests" / "lib" / "ledger_reader.py"


def read(*args):
    return subprocess.run([sys.executable, "-B", READER, *args], capture_output=True, text=True,
                          timeout=120)


@pytest.fixture(scope="module")
def city(tmp_path_factory):
    if not os.access(ZTCD, os.X_OK):
        pytest.skip("%s is not built" % ZTCD)
    folder = tmp_path_factory.mktemp("city")
    made = subprocess.run([ZTCD, "init"], env={**os.environ, "ZTCD_DIR": str(folder)},
                          capture_output=True, text=True, timeout=60)
    assert made.returncode == 0, made.stderr
    return folder


def test_fresh_city(city):
    out = read(city / "city.db")
    assert out.returncode == 0, out.stderr
    # 12 sites, 29 sectors, 10 units, the term: an entry and a row each, all in `shared`.
    assert "14 streams" in out.stdout and "52 entries" in out.stdout and "52 rows" in out.stdout


def test_fresh_city_with_its_key(city):
    out = read("--vault-key", city / "vault.key", city / "city.db")
    assert out.returncode == 0, out.stderr


def test_the_file_was_not_touched(city):
    path = city / "city.db"
    before = path.read_bytes()
    assert read(path).returncode == 0
    assert path.read_bytes() == before
