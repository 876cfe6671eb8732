"""What a server answers is what `Identifier` and the command line say, over real HTTP."""

import base64
import io
import json
import re
import zlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from fruitcnn.card import ModelCard
from fruitcnn.identify.explain import overlay
from fruitcnn.identify.identifier import Identifier
from tests.conftest import REPOSITORY, Run
from tests.server.served import Served, answer_of, picture, serving, wait_until
from tests.tiny import write_tiny_model

COLOURS = [(250, 20, 20), (20, 250, 20), (20, 20, 250), (3, 2, 1), (90, 120, 130)]
GRAPE = REPOSITORY / "dataset" / "sample" / "grape" / "grape_000.jpg"


def test_a_picture_is_answered_as_by_the_identifier(served: Served, model: Path) -> None:
    identifier = Identifier.load(model)
    with served.client() as client:
        for colour in COLOURS:
            data = picture(colour)
            answer = client.post("/identify", content=data)
            assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
            assert answer.json() == identifier.identify(data).to_dict() | {"file": "-"}
        assert client.post("/identify", content=picture((0, 0, 0))).json()["identify_rate"] is None


def test_the_body_is_the_command_line_s_line(served: Served, model: Path, cli: Run) -> None:
    line = cli("identify", "-", "--model", model, "--format", "json", "--top", 2, stdin=picture()).stdout
    with served.client() as client:
        assert client.post("/identify?top=2", content=picture()).text == line


def test_a_form_s_files_are_answered_in_their_order(served: Served, model: Path) -> None:
    identifier = Identifier.load(model)
    files = [(name, picture(colour)) for name, colour in zip("abcde", COLOURS, strict=True)]
    sent = [("picture", file) for file in [*files, ("Früchte.txt", b"not a picture")]]
    with served.client() as client:
        answer = client.post("/identify", files=sent, data={"other": "field"})
        *rows, last = answer.json()
        assert answer.status_code == 200
        assert rows == [identifier.identify(data).to_dict() | {"file": name} for name, data in files]
        assert last["file"] == "Früchte.txt" and last["error"].startswith("not a picture that can be read; ")
        alone = client.post("/identify", files=sent[:1])
        assert alone.json() == rows[:1], "a form's answer is a list, however many there are"
        assert client.post("/identify", files=sent[-1:]).status_code == 415, "as good as its best row"


def test_an_answer_is_explained_on_request(served: Served, model: Path) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8))
    file = io.BytesIO()
    image.save(file, "PNG")
    with served.client() as client:
        answer = client.post("/identify?explain=1&top=1", content=file.getvalue()).json()
    result = Identifier.load(model).identify(file.getvalue(), evidence=True)
    assert result.evidence is not None
    expected = np.asarray(overlay(image, result.evidence, result.labels.index(result.likeliest_label)), int)
    head, _, data = answer["overlay"].partition(",")
    shown = Image.open(io.BytesIO(base64.b64decode(data)))
    assert head == "data:image/jpeg;base64" and shown.size == (40, 30)
    assert abs(np.asarray(shown, int) - expected).mean() < 12, "the same picture, as JPEG"
    assert answer["prediction"] == result.top(1).prediction


def test_the_shipped_model_answers_over_http(tmp_path: Path) -> None:
    model = REPOSITORY / "checkpoints" / "fruits-small"
    with serving(model, folder=tmp_path) as server, server.client() as client:
        answer = client.post("/identify", content=GRAPE.read_bytes())
        assert answer.json() == Identifier.load(model, threads=1).identify(GRAPE.read_bytes()).to_dict() | {"file": "-"}
        assert answer.headers["x-model-sha256"] == Identifier.load(model).identity()["sha256"]


def test_a_model_without_evidence_explains_nothing(tmp_path: Path) -> None:
    card = ModelCard(labels=("red", "green", "blue"), size=8)
    file = write_tiny_model(tmp_path / "plain.onnx", card)
    with serving(file, folder=tmp_path) as server, server.client() as client:
        answer = client.post("/identify?explain=1", content=picture())
        assert answer.status_code == 400 and "where its answers come from" in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/identify", b"", 415, "empty file"),
        ("/identify", b"hello", 415, "not a picture that can be read"),
        ("/identify", b"\xff\x0a" + bytes(60), 415, "JPEG XL"),
        ("/identify", picture(side=64)[:60], 422, "picture"),
        ("/identify", picture(side=500, kind="JPEG")[:2000], 422, "truncated"),
        ("/identify?top=0", picture(), 400, "top: "),
        ("/identify?top=many", picture(), 400, "top: "),
        ("/nothing", b"", 404, "see /docs"),
        ("/health", b"", 405, "see /docs"),
    ],
)
def test_what_is_wrong_is_said_in_json(served: Served, path: str, body: bytes, status: int, words: str) -> None:
    with served.client() as client:
        answer = client.post(path, content=body)
        assert answer.status_code == status and words in answer.json()["error"], answer.text
        assert client.get("/health").status_code == 200, "on the same connection"


def test_a_picture_that_is_too_large_is_refused_by_its_header(served: Served) -> None:
    data = bytearray(picture())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    with served.client() as client:
        answer = client.post("/identify", content=bytes(data))
    assert answer.status_code == 422 and "megapixels" in answer.json()["error"]


@pytest.mark.parametrize(
    "form",
    [b"--b\r\n", b"", b"--b--\r\n", b'--b\r\nContent-Disposition: form-data; name="a"; filename="x"\r\n\r\n\x89PNG'],
)
def test_a_damaged_form_is_refused(served: Served, form: bytes) -> None:
    with served.client() as client:
        answer = client.post("/identify", content=form, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert answer.status_code == 400 and "form" in answer.json()["error"]


def test_a_form_of_too_many_parts_is_refused(served: Served) -> None:
    with served.client() as client:
        answer = client.post("/identify", files=[("picture", ("x.png", b"x"))] * 65)
    assert answer.status_code == 413 and "64 parts" in answer.json()["error"]


def test_the_other_pages(served: Served, model: Path) -> None:
    with served.client() as client:
        assert client.get("/health").json() == {"alive": True}
        identity = {"name": "colours", "sha256": Identifier.load(model).identity()["sha256"]}
        assert client.get("/ready").json() == {"ready": True, "model": identity}
        assert client.head("/ready").status_code == client.head("/health").status_code == 200
        info = client.get("/info")
        assert info.json()["card"]["labels"] == ["red", "green", "blue"] and info.json()["model"] == identity
        assert str(model.parent) not in info.text
        assert client.get("/", follow_redirects=True).url.path == "/docs"
        guide = client.get("/docs").text
        assert "POST /identify" in guide and not re.search(r"https?://|<script|<link|src=", guide)
        paths = client.get("/openapi.json").json()["paths"]
        ids = [method["operationId"] for path in paths.values() for method in path.values()]
        assert len(set(ids)) == len(ids) == 5
        described = paths["/identify"]["post"]
        assert set(described["requestBody"]["content"]) == {"image/*", "multipart/form-data"}
        assert {one["name"] for one in described["parameters"]} == {"top", "explain"}


def test_what_was_counted_is_shown_as_prometheus_reads_it(served: Served) -> None:
    before = {name: served.metric(name) for name in COUNTED}
    with served.client() as client:
        client.post("/identify", content=picture())
        client.post("/identify", content=picture((0, 0, 0)))
        client.post("/identify", content=b"nothing")
        text = client.get("/metrics").text
    assert {name: served.metric(name) - before[name] for name in COUNTED} == COUNTED
    assert served.metric("fruitcnn_waiting_pictures") == served.metric("fruitcnn_held_bytes") == 0
    for line in text.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) fruitcnn_\w+ .+|fruitcnn_\w+(\{(\w+=\"[^\"]*\",?)+\})? [\d.e+-]+", line), (
            line
        )
    ranges = [float(line.rpartition(" ")[2]) for line in text.splitlines() if "_bucket" in line]
    assert ranges == sorted(ranges) and ranges[-1] == served.metric("fruitcnn_identify_seconds_count")


COUNTED = {
    'fruitcnn_requests_total{route="identify",status="200"}': 2,
    'fruitcnn_requests_total{route="identify",status="415"}': 1,
    'fruitcnn_pictures_total{outcome="identified"}': 1,
    'fruitcnn_pictures_total{outcome="unknown"}': 1,
    'fruitcnn_pictures_total{outcome="rejected"}': 1,
    "fruitcnn_identify_seconds_count": 3,
    'fruitcnn_identify_seconds_bucket{le="+Inf"}': 3,
}


def test_the_page_that_was_built_is_served_at_the_root(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model.onnx")
    version = tmp_path / "page" / "v-1"
    version.mkdir(parents=True)
    (version / "worker.mjs").write_text("1")
    (version / "run.wasm").write_bytes(b"\0asm")
    (tmp_path / "page" / "index.html").write_text("<p>the page")
    with serving(tmp_path, folder=tmp_path) as server, server.client() as client:
        assert client.get("/").text == "<p>the page"
        assert client.get("/v-1/worker.mjs").headers["content-type"].startswith("text/javascript")
        assert client.get("/v-1/run.wasm").headers["content-type"] == "application/wasm"
        assert client.get("/ready").json()["ready"]
        wrong = client.get("/identify")
        assert wrong.status_code == 405 and wrong.headers["allow"] == "POST"
        assert client.get("/nothing").status_code == 404
        for outside in ("/../model.onnx", "/..%2fmodel.onnx", "/v-1/../../model.onnx"):
            with server.connect() as connection:
                connection.sendall(f"GET {outside} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                assert answer_of(connection).status == 404


def test_the_log_tells_no_secrets(model: Path, tmp_path: Path) -> None:
    with serving(model, "--log", "json", folder=tmp_path) as server:
        with server.client() as client:
            client.post("/identify?key=secret1", content=b"secret2", headers={"X-Key": "secret3"})
            client.get("/a%0Ab?secret4", headers={"X-Forwarded-For": "6.6.6.6"})
        assert server.end() == 0
        rows = [json.loads(line) for line in server.lines]
    asked = [row for row in rows if row["message"] == "request"]
    assert [(row["method"], row["path"], row["status"]) for row in asked] == [
        ("POST", "/identify", 415),
        ("GET", "/a\nb", 404),
    ]
    assert {row["client"] for row in asked} == {"127.0.0.1"}, "whatever a header says"
    assert all(row["ms"] >= 0 and row["level"] == "info" and row["time"].endswith("+00:00") for row in asked)
    assert "secret" not in "".join(server.lines) and "6.6.6.6" not in "".join(server.lines)


def test_each_line_of_the_log_is_json_whatever_clients_send(model: Path, tmp_path: Path) -> None:
    """A broken form and clients that leave while their picture has a thread."""
    slow = picture(side=2000)
    with serving(model, "--log", "json", folder=tmp_path) as server:
        with server.client() as client:
            broken = {"Content-Type": "multipart/form-data; boundary=b"}
            assert client.post("/identify", content=b"no boundary", headers=broken).status_code == 400

        def one_left_in_time() -> bool:
            with server.connect() as connection:
                head = b"POST /identify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                connection.sendall(head % len(slow) + slow)
            return server.metric('fruitcnn_requests_total{route="identify",status="499"}') >= 4

        wait_until(one_left_in_time)
        assert server.end() == 0
    rows = [json.loads(line) for line in server.lines]
    assert not [row for row in rows if "never retrieved" in row["message"]]


TOKEN = "a-token-of-the-tests"


def test_a_token_is_asked_for_where_one_is_set(model: Path, tmp_path: Path) -> None:
    with serving(model, folder=tmp_path, FRUITCNN_TOKEN=TOKEN) as server:
        with server.client() as client:
            for path in ("/", "/info", "/metrics", "/docs", "/openapi.json", "/nothing"):
                answer = client.get(path)
                assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer", path
            assert client.post("/identify", content=picture()).status_code == 401
            assert client.get("/health").status_code == client.get("/ready").status_code == 200
            for wrong in (TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer", ""):
                assert client.get("/info", headers={"Authorization": wrong}).status_code == 401
            assert client.get("/info", headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200
        with server.client(TOKEN) as client:
            assert client.post("/identify", content=picture()).json()["identify_label"] == "red"
        assert server.end() == 0
        assert TOKEN not in "".join(server.lines)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_no_address_is_open_without_a_token(cli: Run, model: Path, host: str) -> None:
    done = cli("serve", model, "--host", host, "--port", 0)
    assert (
        done.returncode == 2 and f"{host}:0: whoever reaches this address could ask; set FRUITCNN_TOKEN" in done.stderr
    )


def test_a_host_that_is_no_name_is_refused(cli: Run, model: Path) -> None:
    host = "a" * 64 + ".example"
    done = cli("serve", model, "--host", host, "--port", 0)
    assert done.returncode == 2 and f"{host}:0: " in done.stderr and "--host" in done.stderr, done.stderr
    assert len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr


@pytest.mark.parametrize("token", ["", "short", "with spaces in it, many"])
def test_a_token_that_keeps_nobody_out_is_refused(
    cli: Run, model: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRUITCNN_TOKEN", token)
    done = cli("serve", model, "--host", "0.0.0.0")
    assert done.returncode == 2 and done.stderr.startswith("fruitcnn: FRUITCNN_TOKEN: "), done.stderr


def test_what_can_not_be_served_is_said_before(cli: Run, served: Served, model: Path, tmp_path: Path) -> None:
    taken = cli("serve", model, "--port", served.port)
    assert taken.returncode == 2 and "address already in use; choose another --host or --port" in taken.stderr
    assert cli("serve", "nothing").returncode == 1
    (tmp_path / "broken.onnx").write_bytes(b"broken")
    assert "not a usable ONNX model" in cli("serve", "broken.onnx").stderr


def test_a_model_whose_answers_are_none_is_not_served(cli: Run, tmp_path: Path) -> None:
    card = ModelCard(
        labels=("red", "green", "blue"), size=8, outputs=({"name": "familiarity"}, {"name": "probabilities"})
    )
    file = write_tiny_model(tmp_path / "tiny.onnx", card)
    graph = onnx.load(file)
    (scale,) = (weight for weight in graph.graph.initializer if weight.name == "brightness")
    scale.raw_data = np.float32(np.nan).tobytes()
    onnx.save(graph, file)
    done = cli("serve", file)
    assert done.returncode == 1 and "answers with a familiarity" in done.stderr, done.stderr
