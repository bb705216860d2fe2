"""Who gets what from the server: the token, the host, the few paths, and bytes that are ours."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from tiny_pairset import edit

from curate.manifests.errors import UsageError
from curate.manifests.pairset import Pairset
from curate.manifests.view import Viewer, open_server
from curate.manifests.view.server import STATIC

ANSWER = {"a": 10, "b": 20, "answer": "yes"}


def noted(client):
    path = client.viewer.desk.path
    return path.read_text().splitlines() if path.exists() else []


def test_an_answer_is_noted_and_counted(client, tiny):
    status, facts = client.post("/api/answer", ANSWER)
    assert status == 200
    assert facts["answers"] == {"yes": 1, "no": 0, "unsure": 0}
    (line,) = [json.loads(text) for text in noted(client)]
    assert (line["key_a"], line["key_b"]) == (tiny.keys[10], tiny.keys[20])
    assert (line["answer"], line["status"], line["oracle"]) == ("yes", "answered", "tester")
    assert Viewer(client.viewer.pairset).desk.path == client.viewer.pairset.root / "questions.jsonl"


@pytest.mark.parametrize("path", ["/api/answer", "/api/undo", "/api/ask"])
@pytest.mark.parametrize("token", [None, "", "wrong", "é"])
def test_nothing_is_written_without_the_token(client, path, token):
    headers = {"Content_Type": "application/json"}
    if token is not None:
        headers["X_Curate_Token"] = token.encode("latin-1")
    status, _, body = client.send("POST", path, {**ANSWER, "budget": 5}, **headers)
    assert status == 403
    assert b"token" in body
    assert noted(client) == []


@pytest.mark.parametrize("path", ["/api/about", "/api/samples", "/api/sample?id=1"])
def test_nothing_of_the_corpus_is_read_without_the_token(client, path):
    assert client.send("GET", path)[0] == 403
    assert client.send("GET", f"{path}?token={client.token}")[0] == 403
    assert client.get(path)[0] == 200


def test_a_picture_asks_its_own_key_which_opens_nothing_else(client):
    key = client.server.guard.picture_key
    assert client.picture(5)[0] == 200
    assert client.picture(5, key="")[0] == 403
    assert client.picture(5, key=client.token)[0] == 403
    assert client.send("GET", "/api/about", X_Curate_Token=key)[0] == 403
    assert client.get("/api/about")[1]["picture_key"] == key


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "10.0.0.1", "", "[::"]
)
def test_another_host_name_is_refused(client, host):
    host = host.format(port=client.server.port)
    for path in ("/", "/api/about", f"/picture/small/1?key={client.server.guard.picture_key}"):
        status, _, body = client.send("GET", path, Host=host, X_Curate_Token=client.token)
        assert status == 403
        assert b"127.0.0.1 and localhost only" in body
    assert client.post("/api/answer", ANSWER, Host=host)[0] == 403
    assert noted(client) == []


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "localhost:9", "[::1]:1"])
def test_names_of_this_machine_are_answered_whatever_the_forwarded_port(client, host):
    assert client.get("/api/about", Host=host.format(port=client.server.port))[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_another_pages_requests_are_refused(client, headers):
    headers = {name: text.format(port=client.server.port) for name, text in headers.items()}
    assert client.post("/api/answer", ANSWER, **headers)[0] == 403
    assert noted(client) == []
    own = {"Origin": f"http://127.0.0.1:{client.server.port}", "Sec_Fetch_Site": "same-origin"}
    assert client.post("/api/answer", ANSWER, **own)[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../manifest.json",
        "/..%2fmanifest.json",
        "/manifest.json",
        "/static/../../pairset.py",
        "/view.css/../server.py",
        "//etc/passwd",
        "/server.py",
        "/picture/small/..%2f1?key={key}",
        "/picture/small/../../../etc/passwd?key={key}",
        "/picture/raw/1?key={key}",
        "/picture/small/-1?key={key}",
        "/picture/small/300?key={key}",
        "/picture/small/99999999999999999999?key={key}",
        "/picture/small/1e1?key={key}",
        "/picture/small/\u0661?key={key}".encode().decode("latin-1"),
        "/picture/small/images/part-00000.tar?key={key}",
        "/api/none",
        "/api/sample?id=300",
    ],
)
def test_there_is_no_way_to_any_other_file(client, path):
    path = path.format(key=client.server.guard.picture_key)
    if not path.isascii():
        path = "/picture/small/%D9%A1?key=" + client.server.guard.picture_key
    status, headers, body = client.send("GET", path, X_Curate_Token=client.token)
    assert status == 404
    assert headers["Content-Type"].startswith("application/json")
    assert "error" in json.loads(body)


def test_every_answer_carries_the_headers_that_bind_a_browser(client):
    pages = [*STATIC, "/none", f"/picture/small/1?key={client.server.guard.picture_key}"]
    for path in pages:
        _, headers, _ = client.send("GET", path)
        assert headers["X-Content-Type-Options"] == "nosniff"
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in headers
    assert client.send("GET", "/")[1]["Content-Type"] == "text/html; charset=utf-8"
    for path, (file, _) in STATIC.items():
        text = file.read_text()
        assert "innerHTML" not in text
        assert "onerror=" not in text
        assert "style=" not in text or path.endswith(".css"), path


def test_pictures_are_encoded_here_whatever_the_corpus_holds(client, tiny):
    status, headers, body = client.picture(0)
    assert status == 200
    assert headers["Content-Type"] == "image/webp"
    shown = Image.open(io.BytesIO(body))
    assert (shown.format, shown.size) == ("WEBP", (32, 32))
    truth = Image.open(io.BytesIO(tiny.payloads[0])).convert("RGB")
    found, expected = (np.asarray(image.convert("RGB"), np.float64) for image in (shown, truth))
    assert np.abs(found - expected).mean() < 15
    assert client.picture(0)[2] == body


def test_a_picture_that_is_none_is_told(broken, serve):
    with edit(broken, "samples") as rows:
        rows[0]["offset"] += 40
        rows[1]["shard"], rows[1]["size"] = "", 0
    with serve(broken) as client:
        assert client.picture(0)[0] == 404
        assert client.picture(1)[0] == 404
        assert client.picture(2)[0] == 200
        cards = {card["id"]: card for card in client.get("/api/samples")[1]["items"]}
        assert [cards[n]["picture"] for n in (0, 1, 2)] == [True, False, True]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"nonsense", {}, 400),
        (b"[1]", {}, 400),
        ({**ANSWER, "answer": "maybe"}, {}, 400),
        ({**ANSWER, "a": "10"}, {}, 400),
        ({**ANSWER, "a": True}, {}, 400),
        ({**ANSWER, "a": -1}, {}, 400),
        ({**ANSWER, "a": 20}, {}, 400),
        ({**ANSWER, "a": 5000}, {}, 404),
        (ANSWER, {"Content_Type": "text/plain"}, 400),
        (ANSWER, {"Content_Length": "100000"}, 400),
        (ANSWER, {"Content_Length": "-1"}, 400),
        (b"x" * 5000, {}, 400),
    ],
)
def test_a_wrong_body_writes_nothing(client, body, headers, status):
    assert client.post("/api/answer", body, **headers)[0] == status
    assert noted(client) == []


def test_a_wrong_parameter_is_told(client):
    wrong = "samples?start=x", "samples?cluster=1", "sample", "pairs?limit=-1"
    for query in (*wrong, "pairs?start="):
        status, body = client.get(f"/api/{query}")
        assert (status, "error" in body) == ((200, False) if query[-1] == "=" else (400, True))
    assert client.get("/api/samples?start=x")[1]["error"].startswith("start is 'x'")
    assert client.get("/api/samples?near=1&space=nope")[0] == 404
    assert client.get("/api/samples?text=a+cat&space=image")[0] == 400


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.org", ""])
def test_it_listens_on_the_loopback_only(tiny, host):
    viewer = Viewer(Pairset.open(tiny.root))
    with pytest.raises(UsageError, match="listens on this machine only"):
        open_server(viewer, host=host)


def test_a_taken_port_is_told(client):
    with pytest.raises(UsageError, match=f"port {client.server.port}: "):
        open_server(client.viewer, client.server.port)


def test_tokens_differ_and_are_long(client):
    other = open_server(client.viewer)
    other.http.server_close()
    assert other.guard.token != client.token
    assert len(client.token) >= 43
    assert client.token not in repr(client.server)
    assert client.server.url.endswith(f"/#token={client.token}")


def test_head_sends_no_body_and_other_methods_are_none(client):
    status, headers, body = client.send("HEAD", "/")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 500
    assert client.send("PUT", "/api/answer", ANSWER, X_Curate_Token=client.token)[0] == 501
    assert client.send("DELETE", "/", X_Curate_Token=client.token)[0] == 501
