"""A full disk at the city holds what comes, says why, and is over by itself when there is room again."""
import csv
import os
import subprocess

import pytest

from conftest import MEMBER, City, County, wait_until

MOUNT_OPTIONS = "size=48m,mode=0700"
ROOM = 64 * 1024
OPINION = ["--set", "studio_id=鹿峰工作室", "--set", "receiver=李建国", "--set", "channel=duty",
           "--set", "category=social", "--set", "anonymous=是"]


class Disk:
    """A small file system of its own, which can be filled and emptied."""

    def __init__(self, path):
        self.path = path
        path.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", MOUNT_OPTIONS, "tmpfs", path],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            path.rmdir()
            pytest.skip(f"a small file system cannot be mounted: {done.stderr.strip() or done.returncode}")

    def free(self):
        facts = os.statvfs(self.path)
        return facts.f_bavail * facts.f_frsize

    def fill(self, room=ROOM):
        with open(self.path / "ballast", "wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, self.free() - room)

    def empty(self):
        (self.path / "ballast").unlink()

    def unmount(self):
        subprocess.run(["umount", self.path], check=True)


@pytest.fixture
def make_disk(tmp_path):
    disks = []

    def make(name):
        disk = Disk(tmp_path / name)
        disks.append(disk)
        return disk

    yield make
    for disk in disks:
        disk.unmount()


@pytest.fixture
def disk(make_disk):
    return make_disk("city")


@pytest.fixture
def city(disk):
    city = City(disk.path).start()
    yield city
    city.stop()


def import_opinions(county, n, first=0):
    sheet = county.dir.parent / f"{county.dir.name}-opinions.csv"
    with open(sheet, "w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([["事由", "反映内容", "收集时间"]] +
                                  [[f"第{i}件", "很长的内容" * 200, "2026-03-05 9:30"] for i in range(first, first + n)])
    county.run("import", "opinion", sheet, *OPINION)


def titles(side):
    return sorted(o["fields"]["title"] for o in side.json("ls", "opinion"))


def settled(city, make_county):
    a, b = (make_county(name).enrol(city, 431021) for name in "ab")
    a.sync()
    a.settle()
    import_opinions(a, 10)
    a.sync()
    b.sync()
    return a, b


def is_held(city):
    store = city.json("status")["store"]
    return (store["state"], store["code"]) == ("refused", "ZT-DISK-FULL")


def is_told(county):
    """It says that the city holds what comes, and why."""
    status = county.status()
    return status["cause"] == "ZT-DISK-FULL" and status["why"].startswith("市级暂不接收上传：")


def test_pushes_wait_for_room(disk, city, make_county):
    a, b = settled(city, make_county)
    a.start()
    before = city.json("status")["streams"]
    disk.fill()
    import_opinions(a, 300, first=10)
    assert wait_until(lambda: is_held(city))
    assert "磁盘空间不足" in city.run("status").stdout
    assert a.status()["pending"] > 0

    # The county is told the reason, and stays connected.
    assert wait_until(lambda: is_told(a)), a.status()
    assert a.status()["state"] == "catching-up"
    assert "ZT-DISK-FULL 市级暂不接收上传：磁盘空间不足" in a.run("status").stdout
    assert a.run("sync", "--timeout", "3", expect=1).stderr.startswith("ZT-DISK-FULL 市级暂不接收上传")
    assert wait_until(lambda: is_told(a)), a.status()

    # Reading goes on, for people and for the other computer; other writing is refused with the reason.
    assert len(titles(city)) >= 10
    city.run("verify")
    b.run("sync", "--timeout", "10")
    assert titles(b) == titles(city)
    refused = city.run("user", "add", "wang", "--role", "liaison", expect=1)
    assert refused.stderr.startswith("ZT-DISK-FULL ")
    assert [s["seq"] for s in city.json("status")["streams"]] >= [s["seq"] for s in before]

    disk.empty()
    assert wait_until(lambda: a.status()["pending"] == 0, seconds=60)
    assert wait_until(lambda: city.json("status")["store"]["state"] == "ok")
    assert wait_until(lambda: (a.status()["state"], a.status()["cause"]) == ("up-to-date", None)), a.status()
    a.sync()
    b.sync()
    for side in (city, a, b):
        assert titles(side) == sorted(f"第{i}件" for i in range(310))
        side.run("verify")


def test_killed_while_full_it_comes_back(disk, city, make_county):
    a, _ = settled(city, make_county)
    disk.fill()
    import_opinions(a, 300, first=10)
    assert a.run("sync", "--timeout", "3", expect=1).stderr.startswith("ZT-DISK-FULL ")
    disk.empty()
    disk.fill(room=0)
    city.daemon.kill()
    city.start()
    assert len(titles(city)) >= 10
    assert a.run("sync", "--timeout", "3", expect=1).stderr.startswith("ZT-DISK-FULL ")
    disk.empty()
    a.sync()
    assert titles(city) == titles(a) == sorted(f"第{i}件" for i in range(310))
    city.run("verify")


def test_a_county_without_room_writes_nothing(make_city, make_disk):
    city, disk = make_city("office"), make_disk("small")
    county = County(disk.path).enrol(city, 431021)
    county.sync()
    county.settle()
    disk.fill(room=0)
    for i in range(30):
        done = county.run("add", "member", f"name=委员{i}", *MEMBER, expect=None)
        if done.returncode != 0:
            break
    assert done.returncode == 1 and done.stderr.startswith(("ZT-DISK-FULL ", "ZT-IO "))
    disk.empty()
    county.sync()
    county.run("verify")
    assert [m["id"] for m in county.json("ls", "member")] == [m["id"] for m in city.json("ls", "member")]
