"""The page: whole, self-contained, escaped, small, and made even where parts are missing."""

import json
import re
import shlex
import shutil

import pytest
from tiny_pairset import edit, edit_manifest, write_tiny_pairset

from curate.manifests.errors import PairsetError
from curate.manifests.human import human_bytes, human_seconds
from curate.manifests.pairset import Pairset
from curate.manifests.report import write_report

NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}"


def parsed(path, make):
    return type(make)(path.read_text())


def test_sections_stand_in_order(page):
    ids = [a["id"] for a in page.all("section")]
    assert ids == [
        *("overview", "similarity", "tradeoffs", "gallery", "graph", "duplicates"),
        *("rejects", "coverage", "timings", "next"),
    ]
    targets = {a["href"] for a in page.all("a")}
    assert targets == {f"#{name}" for name in ids} | {"#main"}


def test_the_gallery_holds_the_anchors_asked_for(page, tiny, tmp_path):
    assert len(page.all("article")) == 24
    few = parsed(write_report(tiny.root, tmp_path / "a.html", anchors=3), page)
    assert len(few.all("article")) == 3


def test_another_seed_shows_other_anchors(page, tiny, tmp_path):
    other = parsed(write_report(tiny.root, tmp_path / "a.html", seed=1), page)
    mine, theirs = ({a["aria-label"] for a in p.all("article")} for p in (page, other))
    assert mine != theirs


def test_numbers_of_the_manifest_are_there(page, tiny):
    counts = tiny.manifest["counts"]
    for name in ("samples", "edges", "rejects"):
        assert f"{counts[name]:,}" in page.text
    assert "measured recall 1.0000 (0.99 asked)" in page.text
    assert tiny.manifest["manifest_id"] in page.text
    assert "vectors:image kept" in page.text


def test_nothing_is_fetched(page):
    assert not re.search(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", page.source, re.I)
    for _, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "action", "poster", "srcset", "data"):
            value = attributes.get(name, "")
            assert value.startswith(("#", "data:")) or not value, value
    assert not page.all("link", rel="stylesheet")
    assert "@import" not in page.source
    assert "url(" not in page.source


def test_only_the_pages_own_script_may_run(page):
    (policy,) = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert "default-src 'none'" in policy["content"]
    assert re.search(r"script-src 'sha256-[\w+/=]{44}'", policy["content"])
    assert len(page.all("script")) == 1
    assert not any(name.startswith("on") for _, a in page.elements for name in a)


def test_equal_pairsets_give_equal_bytes(report, tiny, tmp_path):
    again = write_report(tiny.root, tmp_path / "again.html")
    assert again.read_bytes() == report.read_bytes()


def test_the_page_is_small(report):
    assert report.stat().st_size < 1_000_000


def test_large_pictures_do_not_make_a_large_page(tmp_path):
    tiny = write_tiny_pairset(tmp_path, samples=120, P=2, K=8, F=8, image_size=400)
    assert write_report(tiny.root).stat().st_size < 3_000_000


def test_the_report_stands_in_the_pairset_by_default(tmp_path):
    tiny = write_tiny_pairset(tmp_path, samples=40)
    assert write_report(tiny.root) == tiny.root / "report.html"
    assert (tiny.root / "report.html").exists()


def test_tables_are_never_read_whole(tiny, tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("a whole table was read")

    monkeypatch.setattr(Pairset, "table", refuse)
    write_report(tiny.root, tmp_path / "report.html")


def test_everything_from_a_corpus_is_escaped(tmp_path, page):
    tiny = write_tiny_pairset(tmp_path, samples=60)
    with edit(tiny.root, "samples") as rows:
        for row in rows:
            row["key"] = f"{NASTY}{row['sample_id']}"
            row["captions"] = [NASTY, *row["captions"]]
            row["caption"] = NASTY
            row["labels"] = [NASTY]
            row["label"] = NASTY
            row["split"] = NASTY
            row["attr_camera"] = NASTY
    with edit(tiny.root, "rejects") as rows:
        rows[0].update(key=NASTY, where=NASTY, message=NASTY)
    with edit(tiny.root, "edges") as rows:
        for row in rows:
            row["miner"] = NASTY
            row["space"] = NASTY if row["space"] else ""
            row["reason"] = NASTY if row["reason"] else ""
    with edit_manifest(tiny.root) as manifest:
        manifest["corpus"]["source"] = NASTY
        manifest["config"]["corpus"]["source"] = NASTY
        manifest["miners"][0].update(id=NASTY, paper=NASTY, settings={NASTY: NASTY})
        manifest["embeddings"]["image"]["encoder"] = {"name": NASTY, "path": NASTY}
    (tiny.root / "run.jsonl").write_text(
        json.dumps({"event": "node_done", "node": NASTY, "seconds": 1, "rows": 1, "parts": 1})
    )
    made = parsed(write_report(tiny.root), page)
    assert len(made.all("script")) == 1
    assert not any("onerror" in a for _, a in made.elements)
    assert all(a["src"].startswith("data:image/webp") for a in made.all("img"))
    assert "<script>alert" not in made.source
    assert "&lt;script&gt;alert" in made.source
    assert made.text.count("alert(1)") > 100
    assert "49" not in re.findall(r"\S*onerror=alert\(2\)>(\S+)", made.text)


def test_a_key_that_looks_like_an_option_is_quoted(tmp_path, page):
    tiny = write_tiny_pairset(tmp_path / "it's here", samples=40)
    with edit(tiny.root, "samples") as rows:
        for row in rows:
            row["key"] = f"-rf $(ls) {row['sample_id']}"
    made = parsed(write_report(tiny.root), page)
    (command,) = [words for words in made.words if words.startswith("curate explain")]
    *start, key = shlex.split(command)
    assert start == ["curate", "explain", "--", str(tiny.root)]
    assert re.fullmatch(r"-rf \$\(ls\) \d+", key)


def strip_images(root):
    shutil.rmtree(root / "images")


def strip_captions(root):
    with edit(root, "samples") as rows:
        for row in rows:
            row.update(caption=None, captions=[])


def strip_labels(root):
    with edit(root, "samples") as rows:
        for row in rows:
            row.update(label=None, labels=[])
    with edit_manifest(root) as manifest:
        rate = {"value": None, "low": None, "high": None, "source": "unknown", "judged": 0}
        manifest["quality"]["false_negative_rate"] = rate


def strip_role(role):
    def strip(root):
        with edit(root, "edges") as rows:
            rows[:] = [row for row in rows if row["role"] != role]

    return strip


def strip_edges(root):
    with edit(root, "edges") as rows:
        rows.clear()


def strip_similarities(root):
    with edit(root, "edges") as rows:
        for row in rows:
            row["similarity"] = None


def strip_pairs(root):
    with edit(root, "pairs") as rows:
        rows.clear()
    with edit_manifest(root) as manifest:
        manifest["counts"]["pairs"] = 0


def strip_graphs(root):
    with edit_manifest(root) as manifest:
        for name in [n for n in manifest["tables"] if n.startswith("neighbors/")]:
            del manifest["tables"][name]
        manifest["neighbors"] = {}


def strip_rejects(root):
    with edit(root, "rejects") as rows:
        rows.clear()
    with edit_manifest(root) as manifest:
        manifest["counts"]["rejects"] = 0


def strip_groups(root):
    with edit(root, "samples") as rows:
        for row in rows:
            row["group_id"] = row["sample_id"]


def strip_facts(root):
    with edit_manifest(root) as manifest:
        for name in ("thresholds", "quality", "index", "versions", "loss", "mask_groups"):
            manifest.pop(name)
        manifest["groups"] = {}
        for entry in manifest["neighbors"].values():
            entry.pop("recall")
            entry.pop("min_recall")


@pytest.mark.parametrize(
    ("strip", "says"),
    [
        (strip_images, "not readable: FileNotFoundError"),
        (strip_captions, "caption 0"),
        (strip_labels, "unknown: no labels or captions to judge by"),
        (strip_role("positive"), "Hard negatives"),
        (strip_role("negative"), "Masked false negatives"),
        (strip_role("false_negative"), "Hard negatives"),
        (strip_role("refused"), "No candidate was refused."),
        (strip_edges, "No candidate of this anchor was looked at."),
        (strip_similarities, "No edge carries a similarity."),
        (strip_pairs, "No pair was made."),
        (strip_graphs, "No neighbour graph was published."),
        (strip_rejects, "None: every input became a sample."),
        (strip_groups, "No two samples are near-duplicates of each other."),
        (strip_facts, "recall not measured"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_missing_parts_are_told_not_fatal(tmp_path, page, strip, says):
    tiny = write_tiny_pairset(tmp_path, samples=60)
    strip(tiny.root)
    made = parsed(write_report(tiny.root, anchors=4), page)
    assert says in made.text
    assert len(made.all("section")) == 10
    assert "None" not in made.text.replace("None: every input", "")


def test_a_corpus_of_vectors_alone(tmp_path, page):
    tiny = write_tiny_pairset(tmp_path, samples=60, with_images=False)
    strip_captions(tiny.root)
    strip_labels(tiny.root)
    made = parsed(write_report(tiny.root, anchors=4), page)
    assert not made.all("img")
    assert tiny.keys[0][:6] in made.text
    assert "No log of the run" in made.text


def test_a_folder_that_is_no_pairset_is_refused(tmp_path):
    with pytest.raises(PairsetError, match=r"manifest\.json"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (999, "999 B"), (1_400_000_000, "1.4 GB"), (412_000_000, "412 MB")],
)
def test_bytes_in_words(value, text):
    assert human_bytes(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.412, "0.41 s"), (61.2, "61 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_seconds_in_words(value, text):
    assert human_seconds(value) == text
