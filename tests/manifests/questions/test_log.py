"""The file of questions: one format for what is asked and answered, and nothing is ever lost."""

import json
import threading

import pytest

from curate.manifests.errors import DataError, ResourceError, UsageError
from curate.manifests.people import Answers
from curate.manifests.questions import QuestionLog, log


def texts(path):
    given = Answers.read(str(path))
    words = ("yes", "no", "unsure")
    return list(zip(given.left, given.right, [words[c] for c in given.said], strict=True))


def test_a_question_is_no_answer_and_an_answer_is_read_as_before(tmp_path):
    path = tmp_path / "q.jsonl"
    log.append(path, [log.question(("a", "b"), 0.5, 0.7, 0), log.question(("c", "d"), 0.4, 0.6, 0)])
    assert texts(path) == []
    assert [(q["key_a"], q["key_b"]) for q in QuestionLog.read(path).open] == [
        ("a", "b"),
        ("c", "d"),
    ]
    log.append(path, [log.answer(("b", "a"), "no", "me", 0)])
    with path.open("a") as file:
        file.write('{"key_a": "x", "key_b": "y", "answer": "yes"}\n')
    assert texts(path) == [("b", "a", "no"), ("x", "y", "yes")]
    known = QuestionLog.read(path)
    assert [(q["key_a"], q["key_b"]) for q in known.open] == [("c", "d")]
    assert known.said == {("a", "b"): {"no"}, ("x", "y"): {"yes"}}
    assert known.next_round == 1


def test_every_field_that_is_written_is_described():
    lines = [log.question(("a", "b"), 0.5, 0.7, 0), log.answer(("a", "b"), "yes", "me")]
    lines.append(log.withdrawal(("a", "b"), "me"))
    assert {name for line in lines for name in line} == set(log.FIELDS)
    for line in lines:
        assert line["status"] in log.FIELDS["status"]


def test_an_answer_is_taken_back_by_its_own_oracle_only(tmp_path):
    path = tmp_path / "q.jsonl"
    ask = log.question(("a", "b"), 0.5, 0.7, 0)
    log.append(
        path, [ask, log.answer(("a", "b"), "yes", "me"), log.answer(("a", "b"), "no", "you")]
    )
    assert QuestionLog.read(path).conflicts() == [("a", "b")]
    log.append(path, [log.withdrawal(("b", "a"), "somebody")])
    assert len(texts(path)) == 2
    log.append(path, [log.withdrawal(("b", "a"), "me")])
    assert texts(path) == [("a", "b", "no")]
    log.append(path, [log.withdrawal(("a", "b"), "you")])
    assert texts(path) == []
    assert len(QuestionLog.read(path).open) == 1
    log.append(path, [log.answer(("a", "b"), "unsure", "me")])
    assert texts(path) == [("a", "b", "unsure")]
    assert QuestionLog.read(path).open == []
    assert len(path.read_text().splitlines()) == 7


def test_a_withdrawal_of_a_later_round_leaves_the_earlier_rounds_alone(tmp_path):
    path = tmp_path / "q.jsonl"
    log.append(path, [log.answer(("a", "b"), "yes", "me", 0), log.withdrawal(("a", "b"), "me", 1)])
    assert len(Answers.read(str(path), until=0).left) == 1
    assert len(Answers.read(str(path)).left) == 0


def test_lines_are_appended_whole_from_many_threads(tmp_path):
    path = tmp_path / "q.jsonl"

    def write(who):
        for at in range(40):
            log.append(path, [log.answer((f"{who}", f"k{at}\n\u2028é"), "yes", "x" * 500)])

    threads = [threading.Thread(target=write, args=(who,)) for who in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({tuple(sorted(pair[:2])) for pair in texts(path)}) == 240


def test_a_torn_line_spoils_no_other(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_bytes(b'{"key_a": "a", "key_b": "b", "answer": "yes"}')
    log.append(path, [log.answer(("c", "d"), "no", "me")])
    assert texts(path) == [("a", "b", "yes"), ("c", "d", "no")]


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "q.jsonl"
    log.append(path, [log.answer(("a", "b"), "yes", "me")])
    before, write = path.read_bytes(), log.os.write
    monkeypatch.setattr(log.os, "write", lambda file, data: write(file, data[:10]))
    with pytest.raises(ResourceError, match="nothing was noted"):
        log.append(path, [log.answer(("c", "d"), "yes", "me")])
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"key_a": "a", "key_b": "b", "answer": "same"}, "record 1: answer 'same'; allowed are"),
        ({"key_a": "a", "key_b": "b", "status": "done"}, "status 'done'; allowed are open"),
        ({"key_a": "a", "answer": "yes"}, "key_b is None"),
    ],
)
def test_bad_lines_are_named(tmp_path, line, message):
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps(line) + "\n")
    with pytest.raises(DataError, match=message):
        _ = QuestionLog.read(path).answers


def test_no_line_is_appended_to_parquet(tmp_path):
    with pytest.raises(UsageError, match=r"questions\.jsonl"):
        QuestionLog.read(tmp_path / "answers.parquet")
