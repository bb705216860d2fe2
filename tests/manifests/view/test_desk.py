"""Answering: what is asked next, what is noted, what is taken back, what contradicts."""

import json

import pytest

from curate.manifests.errors import DataError
from curate.manifests.people import Answers
from curate.manifests.questions import log
from curate.manifests.view.desk import Desk


@pytest.fixture
def desk(tmp_path):
    path = tmp_path / "people" / "q.jsonl"
    pairs = [("a", "b"), ("b", "c"), ("a", "c"), ("c", "d"), ("b", "d"), ("e", "f")]
    log.append(path, [log.question(pair, 0.5, 0.7, 2) for pair in pairs])
    return Desk(path, "me")


def waiting(desk):
    return ["".join((line["key_a"], line["key_b"])) for line in desk.waiting(100)]


def test_what_answers_imply_is_not_asked(desk):
    assert waiting(desk) == ["ab", "bc", "ac", "cd", "bd", "ef"]
    desk.answer(("a", "b"), "yes")
    desk.answer(("c", "b"), "yes")
    assert waiting(desk) == ["cd", "bd", "ef"]
    desk.answer(("c", "d"), "no")
    assert waiting(desk) == ["ef"]
    facts = desk.facts()
    assert (facts["open"], facts["waiting"]) == (3, 1)
    assert facts["answers"] == {"yes": 2, "no": 1, "unsure": 0}
    assert desk.waiting(0) == [] or len(desk.waiting(1)) == 1
    assert Answers.read(str(desk.path)).rounds.tolist() == [2, 2, 2]


def test_the_latest_answers_are_taken_back_one_by_one(desk):
    before = desk.path.read_text()
    desk.answer(("a", "b"), "yes")
    desk.answer(("b", "c"), "no")
    assert desk.undo() == ("b", "c")
    assert waiting(desk)[0] == "bc"
    assert desk.undo() == ("a", "b")
    assert desk.undo() is None
    assert waiting(desk)[:2] == ["ab", "bc"]
    text = desk.path.read_text()
    assert text.startswith(before)
    assert [json.loads(line)["status"] for line in text.splitlines()[6:]] == [
        *("answered", "answered", "withdrawn", "withdrawn")
    ]
    assert len(Answers.read(str(desk.path)).left) == 0


def test_another_answer_of_the_same_oracle_replaces_its_first(desk):
    desk.answer(("a", "b"), "yes")
    desk.answer(("b", "a"), "no")
    assert desk.facts()["conflicts"] == 0
    assert desk.facts()["answers"] == {"yes": 0, "no": 1, "unsure": 0}
    Desk(desk.path, "you").answer(("a", "b"), "yes")
    assert desk.facts()["conflicts"] == 1


def test_a_contradiction_is_told(desk):
    desk.answer(("a", "b"), "yes")
    desk.answer(("b", "c"), "yes")
    assert desk.facts()["conflicts"] == 0
    desk.answer(("c", "a"), "no")
    facts = desk.facts()
    assert facts["conflicts"] == 1
    assert sorted(facts["conflicting"][0]) == ["a", "c"]
    desk.undo()
    assert desk.facts()["conflicts"] == 0


def test_lines_of_other_programs_are_seen(desk):
    assert waiting(desk)[0] == "ab"
    with desk.path.open("a") as file:
        file.write('{"key_a": "b", "key_b": "a", "answer": "unsure", "oracle": "bot"}\n')
    assert waiting(desk)[0] == "bc"


def test_a_pair_that_nobody_asked_about_may_be_answered(tmp_path):
    desk = Desk(tmp_path / "none.jsonl", "")
    assert desk.waiting(5) == []
    assert not desk.path.exists()
    desk.answer(("x", "y"), "no")
    assert Answers.read(str(desk.path)).left == ["x"]


def test_a_broken_file_is_told_before_anybody_answers(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_text('{"key_a": "a", "key_b": "b", "answer": "same"}\n')
    with pytest.raises(DataError, match="answer 'same'"):
        Desk(path, "me").check()
