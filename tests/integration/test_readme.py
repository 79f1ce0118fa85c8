"""The worked example of the README does what it says, typed as it stands there."""
import datetime
import os
import re
import subprocess

import pytest

from conftest import BUILD, ROOT

PAGES = ("README.md", "README.zh-CN.md")
HEADLINES = ("## A worked example", "## 一个例子")


def blocks(page):
    """What is typed, and what is shown of the output."""
    text = (ROOT / page).read_text(encoding="utf-8")
    start = max(text.find(headline) for headline in HEADLINES)
    return re.findall(r"^```\n(.*?)^```$", text[start:], re.M | re.S)[:2]


def commands(page):
    return re.sub(r"[ ]+# .*", "", blocks(page)[0])


def timeless(line):
    """Without what differs from run to run: ids, times, the year of a serial number."""
    line = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "ID", line)
    line = re.sub(r"\b\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d)?", "TIME", line)
    return re.sub(r"\b([A-Z]{2}-[A-Z]+)-\d{4}-", r"\1-YEAR-", line).rstrip()


def shown(page):
    lines = [line for line in blocks(page)[1].splitlines() if line != "…" and not line.startswith("$ ")]
    return [timeless(line) for line in lines]


def type_in(script, scratch):
    """Runs it in a shell that ends with the first command that fails; its output and its errors."""
    year = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=8))).year
    script = re.sub(r"(GY-ZS|CZ-XX)-\d{4}-", rf"\1-{year}-", script)
    script = script.replace("/tmp/", f"{scratch}/").replace("$PWD/build/release", str(BUILD))
    around = "set -e -o pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || :; wait' EXIT\n" + script + "wait $!\n"
    return subprocess.run(["bash", "-c", around], cwd=ROOT, capture_output=True, text=True, check=False,
                          timeout=120, env={**os.environ, "LC_ALL": "C.UTF-8"})


def test_both_languages_show_the_same_example():
    assert commands(PAGES[0]) == commands(PAGES[1])
    assert shown(PAGES[0]) == shown(PAGES[1])


@pytest.mark.parametrize("page", PAGES)
def test_the_example_does_what_it_shows(page, tmp_path):
    done = type_in(blocks(page)[0], tmp_path)
    log = (tmp_path / "city.log").read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, (done.stdout, done.stderr, log)
    assert "Sanitizer" not in done.stderr + log
    lines = iter([timeless(line) for line in done.stdout.splitlines()])
    for line in shown(page):
        assert line in lines, (line, done.stdout)
