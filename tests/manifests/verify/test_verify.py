"""`verify` accepts a sound pairset, and names table and row of every hand-made corruption."""

import json
import tarfile

import numpy as np
import pytest
from tiny_pairset import edit, edit_manifest, reseal, write_tiny_pairset

from curate.manifests.errors import PairsetError
from curate.manifests.verify import render, verify


def found(result, check, table):
    """Return the rows of a check's findings in a table."""
    return [f.row for f in result.findings if (f.check, f.table) == (check, table)]


def others_than(result, *checks):
    return {f.check for f in result.findings} - set(checks)


def file_of(root, table, row):
    """Return (number of the file, row in it) of a row of a table."""
    entries = json.loads((root / "manifest.json").read_text())["tables"][table]
    for number, entry in enumerate(entries):
        if row < entry["first_row"] + entry["rows"]:
            return number, row - entry["first_row"]
    raise AssertionError(row)


class Rows:
    """Changes of single rows of a table, by row number over all files."""

    def __init__(self, root, table):
        self.root, self.table = root, table

    def change(self, row, **values):
        number, at = file_of(self.root, self.table, row)
        with edit(self.root, self.table, number) as rows:
            for name, value in values.items():
                rows[at][name] = value(rows[at][name]) if callable(value) else value


def rows_where(root, table, test):
    out, first = [], 0
    entries = json.loads((root / "manifest.json").read_text())["tables"][table]
    import pyarrow.parquet as pq

    for entry in entries:
        for at, row in enumerate(pq.read_table(root / entry["path"]).to_pylist()):
            if test(row):
                out.append((first + at, row))
        first += entry["rows"]
    return out


# ---------------------------------------------------------------- sound ones


def test_a_sound_pairset_passes(tiny):
    result = verify(tiny.root)
    assert result.ok, render(result)
    assert result.checked["images"] == 300
    assert result.checked["edge similarities"] > 1000
    assert "sound" in render(result)
    assert json.loads(json.dumps(result.to_json()))["ok"] is True


@pytest.mark.parametrize(
    "settings",
    [
        {"samples": 60, "P": 1, "K": 1, "F": 1, "k": 8, "seed": 1},
        {"samples": 40, "with_images": False, "files": 3},
        {"samples": 120, "K": 6, "F": 12, "seed": 2},
    ],
)
def test_other_sound_pairsets_pass(tmp_path, settings):
    result = verify(write_tiny_pairset(tmp_path, **settings).root)
    assert result.ok, render(result)


def test_quick_looks_at_fewer_images(tiny):
    result = verify(tiny.root, deep=False)
    assert result.ok, render(result)
    assert result.checked["images"] < 300


def test_progress_names_the_checks(tiny):
    names = []
    verify(tiny.root, deep=False, progress=names.append)
    assert names[0] == "manifest"
    assert {"pairs", "edges", "images", "neighbors"} <= set(names)


def test_no_pairset_is_an_error(tmp_path):
    with pytest.raises(PairsetError, match=r"manifest\.json"):
        verify(tmp_path)


# ---------------------------------------------------------------- files


def test_a_flipped_byte_is_found(broken):
    path = broken / "pairs/part-00001.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    result = verify(broken)
    assert [f.table for f in result.findings] == ["pairs"]
    assert result.findings[0].check == "sha256"
    assert "pairs/part-00001.parquet" in result.findings[0].message
    assert "pairs" in result.skipped
    assert not result.ok


def test_a_missing_file_is_found(broken):
    (broken / "edges/part-00000.parquet").unlink()
    result = verify(broken)
    assert found(result, "missing-file", "edges") == [None]
    assert "part-00000" in render(result)


def test_a_short_file_is_found(broken):
    path = broken / "embeddings/image/part-00000.npy"
    path.write_bytes(path.read_bytes()[:-2])
    result = verify(broken)
    assert found(result, "bytes", "embeddings/image") == [None]
    assert any("similarity" in name for name in result.skipped)


def test_a_file_that_is_not_listed_is_found(broken):
    (broken / "pairs/part-00009.parquet").write_bytes(b"")
    assert found(verify(broken), "stray-file", "pairs") == [None]


def test_a_path_out_of_the_pairset_is_found(broken):
    with edit_manifest(broken) as manifest:
        manifest["images"][0]["path"] = "../../images/part-00000.tar"
    assert found(verify(broken, deep=False), "path", "images") == [None]


def test_an_altered_manifest_is_found(broken):
    path = broken / "manifest.json"
    path.write_text(path.read_text().replace('"t": 0.1', '"t": 0.2'))
    result = verify(broken, deep=False)
    assert found(result, "manifest-id", "manifest.json") == [None]
    assert not others_than(result, "manifest-id")


def test_a_wrong_count_is_found(broken):
    with edit_manifest(broken) as manifest:
        manifest["counts"]["pairs"] += 1
    assert found(verify(broken, deep=False), "count", "pairs") == [None]


def test_a_round_without_a_parent_is_found(broken):
    with edit_manifest(broken) as manifest:
        manifest["round"], manifest["parents"] = 1, []
    result = verify(broken)
    assert found(result, "round", "manifest.json") == [None]
    assert len(found(result, "round", "edges")) > 0


def test_an_edge_of_another_round_is_found(broken):
    Rows(broken, "edges").change(11, round=2)
    result = verify(broken)
    assert found(result, "round", "edges") == [11]
    assert not others_than(result, "round")


def test_a_missing_column_is_found(broken):
    import pyarrow.parquet as pq

    path = broken / "edges/part-00000.parquet"
    pq.write_table(pq.read_table(path).drop(["reason"]), path)
    reseal(broken)
    result = verify(broken, deep=False)
    assert found(result, "columns", "edges") == [None]
    assert "reason" in render(result)


def test_a_list_of_another_length_is_found(broken):
    Rows(broken, "pairs").change(170, negative_ids=lambda ids: ids[:-1])
    result = verify(broken, deep=False)
    assert found(result, "list-length", "pairs") == [170]


# ---------------------------------------------------------------- samples


def test_a_swapped_id_is_found(broken):
    Rows(broken, "samples").change(12, sample_id=13)
    assert found(verify(broken, deep=False), "dense-ids", "samples") == [12]


def test_a_duplicate_key_is_found(broken, tiny):
    Rows(broken, "samples").change(210, key=tiny.keys[5])
    result = verify(broken, deep=False)
    assert found(result, "unique-keys", "samples") == [210]
    assert tiny.keys[5] in render(result)


def test_an_input_that_is_neither_sample_nor_reject_is_found(broken):
    with edit(broken, "rejects") as rows:
        rows.pop()
    with edit_manifest(broken) as manifest:
        manifest["counts"]["rejects"] -= 1
    result = verify(broken, deep=False)
    assert found(result, "inputs", "manifest.json") == [None]
    assert "inputs" in render(result)


def test_a_reject_may_have_the_key_of_a_sample(broken, tiny):
    """`a.jpg` is damaged and `a.png` is not: two inputs of one key, each once."""
    with edit(broken, "rejects") as rows:
        rows[1]["key"] = tiny.keys[9]
    assert verify(broken, deep=False).ok


def test_an_unknown_reject_code_is_found(broken):
    with edit(broken, "rejects") as rows:
        rows[3]["code"] = "bad_luck"
    assert found(verify(broken, deep=False), "reject-code", "rejects") == [3]


def test_a_group_that_bears_another_id_is_found(broken):
    # 49 and 50 copy 48: 50 now names 49, which is not the smallest.
    Rows(broken, "samples").change(50, group_id=49)
    result = verify(broken, deep=False)
    assert found(result, "group-id", "samples") == [50]


def test_a_first_caption_that_is_another_is_found(broken):
    Rows(broken, "samples").change(3, caption="something else")
    assert found(verify(broken, deep=False), "first-caption", "samples") == [3]


# ---------------------------------------------------------------- embeddings and neighbours


def change_vectors(root, space, number, change):
    path = root / f"embeddings/{space}/part-{number:05d}.npy"
    array = np.load(path)
    change(array)
    np.save(path, array)
    reseal(root)


def test_nan_and_norm_are_found(broken):
    def change(array):
        array[3, 2] = np.nan
        array[7] *= 2

    change_vectors(broken, "image", 1, change)
    result = verify(broken, deep=False)
    assert found(result, "finite", "embeddings/image") == [153]
    assert found(result, "unit-norm", "embeddings/image") == [157]


def test_a_zero_row_that_nobody_counted_is_found(broken):
    change_vectors(broken, "caption", 0, lambda array: array[5].fill(0))
    assert found(verify(broken, deep=False), "missing-vectors", "embeddings/caption") == [None]


def test_swapped_vectors_break_the_similarities(broken):
    def change(array):
        array[[10, 11]] = array[[11, 10]]

    change_vectors(broken, "image", 0, change)
    result = verify(broken)
    assert {10, 11} <= set(found(result, "similarity", "neighbors/image>image"))
    assert found(result, "similarity", "edges")


GRAPH = "neighbors/image>image"


def test_a_changed_neighbor_similarity_is_found(broken):
    def nudge(values):
        return [values[0] + 0.02, *values[1:]]

    Rows(broken, GRAPH).change(77, similarities=nudge)
    result = verify(broken)
    assert found(result, "similarity", GRAPH) == [77]
    assert not others_than(result, "similarity")


def test_a_broken_rank_order_is_found(broken):
    def swap(values):
        return [values[1], values[0], *values[2:]]

    Rows(broken, GRAPH).change(161, neighbor_ids=swap, similarities=swap)
    result = verify(broken)
    assert found(result, "order", GRAPH) == [161]
    assert not others_than(result, "order")


def test_ties_by_id_are_checked(broken):
    def tie(values):
        return [values[0], values[0], *values[2:]]

    rows = rows_where(broken, GRAPH, lambda row: row["neighbor_ids"][0] > row["neighbor_ids"][1])
    row = rows[0][0]
    Rows(broken, GRAPH).change(row, similarities=tie)
    assert found(verify(broken), "tie", GRAPH) == [row]


def test_self_duplicate_and_other_split_as_neighbors_are_found(broken, tiny):
    other = next(i for i in range(300) if tiny.splits[i] != tiny.splits[80])
    for row, last in ((33, 33), (49, 48), (80, other)):
        Rows(broken, GRAPH).change(row, neighbor_ids=lambda ids, last=last: [*ids[:-1], last])
    result = verify(broken)
    assert found(result, "self-neighbor", GRAPH) == [33]
    assert found(result, "group-neighbor", GRAPH) == [49]
    assert found(result, "split-neighbor", GRAPH) == [80]


def test_a_low_recall_is_found(broken):
    """Every list loses its three nearest: sorted and true, but not what exact search finds.

    Edges that were mutual before are not any more, which the rule of `knn` sees too.
    """
    for number in range(2):
        with edit(broken, GRAPH, number) as rows:
            for row in rows:
                row["neighbor_ids"] = row["neighbor_ids"][3:] + [-1] * 3
                row["similarities"] = row["similarities"][3:] + [0.0] * 3
    result = verify(broken)
    assert found(result, "recall", GRAPH) == [None]
    assert not others_than(result, "recall", "mutual", "refusal")


# ---------------------------------------------------------------- edges


def test_a_changed_edge_similarity_is_found(broken):
    number, row = rows_where(broken, "edges", lambda r: r["reason"] == "threshold")[300]
    Rows(broken, "edges").change(number, similarity=row["similarity"] - 0.01)
    result = verify(broken)
    assert found(result, "similarity", "edges") == [number]
    assert f"anchor {row['anchor_id']}" in render(result)


def test_unknown_words_in_edges_are_found(broken):
    Rows(broken, "edges").change(1000, miner="magic")
    Rows(broken, "edges").change(3000, reason="bored")
    result = verify(broken, deep=False)
    assert found(result, "word", "edges") == [1000, 3000]


def test_a_gap_in_the_ranks_is_found(broken):
    number, _ = rows_where(broken, "edges", lambda r: r["miner"] == "hard" and r["rank"] == 3)[40]
    Rows(broken, "edges").change(number, rank=4)
    assert number in found(verify(broken, deep=False), "rank", "edges")


def test_edges_out_of_order_are_found(broken):
    with edit(broken, "edges", 0) as rows:
        rows[100], rows[101] = rows[101], rows[100]
    assert found(verify(broken, deep=False), "rank", "edges")


def test_a_hard_negative_above_the_ratio_is_found(broken):
    number, _ = rows_where(broken, "edges", lambda r: r["reason"] == "ratio")[10]
    Rows(broken, "edges").change(number, reason="", role="negative")
    result = verify(broken, deep=False)
    assert found(result, "ratio", "edges") == [number]


def test_a_refusal_that_is_not_true_is_found(broken):
    def good(row):
        return row["miner"] == "hard" and row["role"] == "negative"

    number, row = rows_where(broken, "edges", good)[20]
    Rows(broken, "edges").change(number, reason="ratio", role="refused")
    result = verify(broken, deep=False)
    assert found(result, "refusal", "edges") == [number]
    assert found(result, "unexplained", "pairs") == [row["anchor_id"]]


def test_a_false_negative_below_the_threshold_is_found(broken):
    number, _ = rows_where(broken, "edges", lambda r: r["reason"] == "threshold")[5]
    Rows(broken, "edges").change(number, reason="", role="false_negative", action="eliminate")
    assert found(verify(broken, deep=False), "threshold", "edges") == [number]


# ---------------------------------------------------------------- pairs


def negative(row, place=0):
    return row["negative_ids"][place]


def put(values, place, value):
    out = list(values)
    out[place] = value
    return out


def change_pair(root, row, name, place, value):
    Rows(root, "pairs").change(row, **{name: lambda values: put(values, place, value)})


def test_the_anchor_as_its_own_negative_is_found(broken):
    change_pair(broken, 40, "negative_ids", 1, 40)
    result = verify(broken, deep=False)
    assert found(result, "self-negative", "pairs") == [40]
    assert not others_than(result, "self-negative", "unexplained", "left-out")


def test_the_anchor_as_its_own_positive_is_found(broken):
    number, _ = rows_where(broken, "pairs", lambda r: r["positive_kinds"][0] == 0)[30]
    change_pair(broken, number, "positive_ids", 0, number)
    assert found(verify(broken, deep=False), "self-positive", "pairs") == [number]


def test_a_positive_among_the_negatives_is_found(broken):
    number, row = rows_where(broken, "pairs", lambda r: r["positive_kinds"][0] == 0)[60]
    change_pair(broken, number, "negative_ids", 3, row["positive_ids"][0])
    assert found(verify(broken, deep=False), "positive-contrasted", "pairs") == [number]


def test_a_false_negative_among_the_negatives_is_found(broken):
    number, row = rows_where(broken, "pairs", lambda r: r["false_negative_ids"][0] >= 0)[7]
    change_pair(broken, number, "negative_ids", 2, row["false_negative_ids"][0])
    result = verify(broken, deep=False)
    assert found(result, "false-negative-contrasted", "pairs") == [number, number]


def test_an_eliminated_edge_that_the_row_forgot_is_found(broken):
    number, row = rows_where(broken, "pairs", lambda r: r["false_negative_ids"][0] >= 0)[3]
    other = row["false_negative_ids"][0]
    Rows(broken, "pairs").change(number, false_negative_ids=lambda ids: [*ids[1:], -1])
    change_pair(broken, number, "negative_ids", 0, other)
    result = verify(broken, deep=False)
    assert found(result, "false-negative-contrasted", "pairs") == [number]
    assert found(result, "left-out", "edges")


def test_a_duplicate_among_the_negatives_is_found(broken):
    change_pair(broken, 48, "negative_ids", 0, 50)
    assert found(verify(broken, deep=False), "group-contrasted", "pairs") == [48]


def test_mixed_splits_are_found(broken, tiny):
    other = next(i for i in range(200, 300) if tiny.splits[i] != tiny.splits[20])
    change_pair(broken, 20, "negative_ids", 3, other)
    assert found(verify(broken, deep=False), "split-mixed", "pairs") == [20]


def test_a_pair_without_its_edge_is_found(broken):
    number, row = rows_where(broken, "edges", lambda r: r["miner"] == "random")[11]
    with edit(broken, "edges", file_of(broken, "edges", number)[0]) as rows:
        del rows[file_of(broken, "edges", number)[1]]
    with edit_manifest(broken) as manifest:
        entries = manifest["tables"]["edges"]
        entries[0]["rows"] -= 1
        entries[1]["first_row"] -= 1
        manifest["counts"]["edges"] -= 1
    result = verify(broken, deep=False)
    assert found(result, "unexplained", "pairs") == [row["anchor_id"]]


def test_weights_that_do_not_add_up_are_found(broken):
    change_pair(broken, 99, "positive_weights", 0, 0.7)
    result = verify(broken, deep=False)
    assert 99 in found(result, "weight-sum", "pairs")
    assert not others_than(result, "weight-sum")


def test_a_weight_in_an_empty_place_is_found(broken):
    number, _ = rows_where(broken, "pairs", lambda r: r["positive_ids"][1] == -1)[4]
    change_pair(broken, number, "positive_weights", 1, 0.5)
    assert found(verify(broken, deep=False), "weight", "pairs") == [number]


def test_padding_before_an_id_is_found(broken):
    for name, empty in (("ids", -1), ("weights", 0.0), ("kinds", -1), ("scores", 0.0)):
        change_pair(broken, 200, f"negative_{name}", 1, empty)
    result = verify(broken, deep=False)
    assert found(result, "padding", "pairs") == [200]


def test_false_negatives_that_do_not_ascend_are_found(broken):
    number, _ = rows_where(broken, "pairs", lambda r: r["false_negative_ids"][1] >= 0)[2]

    def swap(ids):
        return [ids[1], ids[0], *ids[2:]]

    Rows(broken, "pairs").change(number, false_negative_ids=swap)
    result = verify(broken, deep=False)
    assert found(result, "ascending", "pairs") == [number]
    assert not others_than(result, "ascending")


def test_a_score_that_is_not_the_edges_is_found(broken):
    change_pair(broken, 150, "negative_scores", 0, 0.123)
    assert found(verify(broken, deep=False), "score", "pairs") == [150]


def test_a_wrong_kind_is_found(broken):
    change_pair(broken, 70, "negative_kinds", 0, 9)
    assert found(verify(broken, deep=False), "kind", "pairs") == [70]


def test_an_id_beyond_the_samples_is_found(broken):
    change_pair(broken, 71, "negative_ids", 0, 300)
    assert found(verify(broken, deep=False), "id-range", "pairs") == [71]


def test_a_gap_in_pair_ids_is_found(broken):
    Rows(broken, "pairs").change(160, pair_id=161)
    assert found(verify(broken, deep=False), "dense-ids", "pairs") == [160]


def test_copies_of_the_anchors_columns_are_checked(broken):
    Rows(broken, "pairs").change(8, group_id=3)
    Rows(broken, "pairs").change(9, split="test")
    result = verify(broken, deep=False)
    assert found(result, "group-copy", "pairs") == [8]
    assert found(result, "split-copy", "pairs") == [9]


# ---------------------------------------------------------------- images


def overwrite(root, row, data):
    number, at = file_of(root, "samples", row)
    import pyarrow.parquet as pq

    sample = pq.read_table(root / f"samples/part-{number:05d}.parquet").slice(at, 1).to_pylist()[0]
    with (root / sample["shard"]).open("r+b") as file:
        file.seek(sample["offset"] + sample["size"] // 2)
        file.write(data)
    reseal(root)
    return sample


def test_altered_image_bytes_are_found(broken, tiny):
    overwrite(broken, 222, b"\0\0\0\0")
    result = verify(broken)
    assert found(result, "image-sha256", "samples") == [222]
    assert tiny.keys[222] in render(result)


def test_an_offset_into_the_wrong_place_is_found(broken):
    Rows(broken, "samples").change(31, offset=lambda offset: offset + 512, sha256=None)
    assert found(verify(broken), "image-decode", "samples") == [31]


def test_a_shard_outside_the_pairset_is_found(broken):
    Rows(broken, "samples").change(5, shard="images/../../secret.tar")
    result = verify(broken)
    assert found(result, "shard", "samples") == [5]


def test_the_extension_is_that_of_the_bytes(broken):
    Rows(broken, "samples").change(1, ext="png")
    assert found(verify(broken), "image-ext", "samples") == [1]


# ---------------------------------------------------------------- the result itself


def test_many_findings_are_counted_but_not_all_named(broken):
    with edit(broken, "pairs", 0) as rows:
        for row in rows:
            row["weight"] = -1.0
    result = verify(broken, deep=False)
    assert len(found(result, "weight", "pairs")) == 20
    assert result.failed["weight in pairs"] == 150
    assert "and 130 more" in render(result)


def test_tars_are_what_the_builder_says(tiny):
    """The builder's own offsets, checked with tarfile, so that the tests above mean something."""
    with tarfile.open(tiny.root / "images/part-00000.tar") as tar:
        members = {m.name: m.offset_data for m in tar if m.name.endswith((".jpg", ".png"))}
    import pyarrow.parquet as pq

    first = pq.read_table(tiny.root / "samples/part-00000.parquet").to_pylist()
    for row in first:
        assert members[f"{row['key']}.{row['ext']}"] == row["offset"]
