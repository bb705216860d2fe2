"""A server over a small pairset, and requests to it that send exactly what a test says."""

import http.client
import json
import shutil
import threading
from contextlib import contextmanager

import pytest
from tiny_pairset import edit

from curate.manifests.pairset import Pairset
from curate.manifests.view import Viewer, open_server

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


class Client:
    """Sends requests to a server."""

    def __init__(self, server, viewer):
        self.server, self.viewer = server, viewer
        self.token = server.guard.token

    def send(self, method, path, body=None, **headers):
        """Send a request; names of headers are written with "_"; return (status, headers, body)."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host="Host" in named)
            if data is not None and "Content-Length" not in named:
                named["Content-Length"] = str(len(data))
            for name, value in named.items():
                connection.putheader(name, value)
            connection.endheaders(data)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def get(self, path, **headers):
        status, _, body = self.send("GET", path, X_Curate_Token=self.token, **headers)
        return status, json.loads(body)

    def post(self, path, body, **headers):
        kind = {"Content_Type": "application/json", "X_Curate_Token": self.token}
        status, _, body = self.send("POST", path, body, **(kind | headers))
        return status, json.loads(body)

    def picture(self, sample, side="small", key=None):
        key = self.server.guard.picture_key if key is None else key
        return self.send("GET", f"/picture/{side}/{sample}?key={key}")


@contextmanager
def serving(root, **options):
    viewer = Viewer(Pairset.open(root), oracle="tester", **options)
    server = open_server(viewer)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield Client(server, viewer)
    finally:
        server.stop()
        thread.join()


@pytest.fixture
def serve():
    """Return what opens a server over a pairset."""
    return serving


@pytest.fixture(scope="session")
def hostile(tiny, tmp_path_factory):
    """A copy of the tiny pairset; one of its samples means harm."""
    root = shutil.copytree(tiny.root, tmp_path_factory.mktemp("hostile") / "out")
    with edit(root, "samples") as rows:
        for name in ("caption", "label", "key"):
            rows[3][name] = HOSTILE
        rows[3]["captions"], rows[3]["labels"] = [HOSTILE], [HOSTILE]
    return root


@pytest.fixture
def hostile_text():
    """Return its key, caption and label."""
    return HOSTILE


@pytest.fixture
def client(hostile, tmp_path):
    """A server over it, with a file of questions of its own."""
    with serving(hostile, questions=tmp_path / "questions.jsonl") as client:
        yield client
