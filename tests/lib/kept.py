"""What a side says of everything it holds: kept with the fixtures of a version, asked again of every later one."""
import csv
import hashlib
import pathlib
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures"

SEEDED = ("site", "term", "sector", "org_unit")
WRITTEN = ("user_account", "member", "studio", "opinion", "submission", "attachment", "conflict", "tracking")
EXPORTED = ("member", "opinion", "submission")
COUNTED = ("site", "replica", "local_n", "acked_n", "pending", "refused", "conflicts", "streams")
PASSING = ("cert_days_left", "seen_at")  # changes by itself as time goes by


def versions():
    """The folders of fixtures, oldest first."""
    return sorted((p for p in FIXTURES.glob("v*") if p.is_dir()), key=lambda p: int(p.name[1:]))


def export(side, kind):
    """The sheet's rows, each by its column's title."""
    with tempfile.TemporaryDirectory() as folder:
        sheet = pathlib.Path(folder) / "sheet.csv"
        side.run("export", kind, sheet)
        with open(sheet, encoding="utf-8-sig", newline="") as text:
            return list(csv.DictReader(text))


def lasting(value):
    """Without what changes by itself."""
    if isinstance(value, dict):
        return {k: lasting(v) for k, v in value.items() if k not in PASSING}
    return [lasting(v) for v in value] if isinstance(value, list) else value


def look(side, questions):
    """The side's records, their histories, and its answers to QUESTIONS."""
    seen = {"ls " + kind: side.json("ls", kind) for kind in SEEDED + WRITTEN}
    for kind in WRITTEN:
        for row in seen["ls " + kind]:
            seen["show " + row["id"]] = side.json("show", row["id"])
            seen["log " + row["id"]] = side.json("log", row["id"])
    for words in questions:
        seen[words] = side.json(*words.split())
    return lasting(seen)


def look_city(city):
    return look(city, ("replica list", "quarantine list", "user list", "attachments"))


def look_county(county):
    status = county.status()
    return {"status": lasting({name: status[name] for name in COUNTED}),
            **look(county, ("refused --all", "conflicts")),
            **{"export " + kind: export(county, kind) for kind in EXPORTED}}


def difference(kept, now, place=""):
    """Where NOW no longer says what KEPT says, or None. NOW may say more."""
    if isinstance(kept, dict) and isinstance(now, dict):
        pairs = [(f"{place}/{k}", v, now.get(k)) for k, v in kept.items()]
    elif isinstance(kept, list) and isinstance(now, list) and len(kept) == len(now):
        pairs = [(f"{place}/{i}", *pair) for i, pair in enumerate(zip(kept, now))]
    else:
        return None if kept == now else f"{place}: kept {kept!r}, now {now!r}"
    return next(filter(None, (difference(k, n, where) for where, k, n in pairs)), None)


def schema_steps():
    """Every step of a store's schema by its path, with the hash of its text."""
    files = sorted(p for top in ("common", "client", "server") for p in (ROOT / top).glob("*/schema/*.sql"))
    return {str(p.relative_to(ROOT)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
