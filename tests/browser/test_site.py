"""The page in a real browser: the answers of `identify`, nothing sent anywhere, no network needed, bad files named."""

import hashlib
import json
import os
import re
import shutil
import stat
import struct
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from fruitcnn.browser.site import earlier_site, prove_site, write_site
from fruitcnn.checkpoint import ONNX, SHIPPED
from fruitcnn.errors import ExportError
from fruitcnn.export.drawing import draw
from fruitcnn.export.exporter import export_checkpoint
from fruitcnn.export.source import OnnxSource
from tests.browser.visits import (
    SAMPLE,
    SMALL,
    TOLERANCE,
    Server,
    answers,
    check_against_identify,
    export_page,
    give,
    load,
)
from tests.chromium import CHROMIUM, Page
from tests.conftest import REPOSITORY

assert SHIPPED is not None
ASSETS = REPOSITORY / "fruitcnn/browser/assets"
NODE = shutil.which("node")
GOLDEN = REPOSITORY / "examples/golden"

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: the page is not looked at")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the small model, which is the one that `make page` shows."""
    return export_page(SMALL, tmp_path_factory.mktemp("small") / "page")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    yield server
    server.stop()


@pytest.fixture
def page(server: Server) -> Iterator[Page]:
    """The page, loaded; afterwards it must not have complained, nor asked anybody else for anything."""
    with Page() as page:
        load(page, server)
        yield page
        assert page.errors == []
        assert foreign(page.requests, server) == []


def foreign(requests: list[str], server: Server) -> list[str]:
    return [url for url in requests if not url.removeprefix("blob:").startswith(server.address)]


@needs_chromium
def test_dropped_pictures_get_the_answers_of_identify(page: Page) -> None:
    files = [SAMPLE / f"{fruit}/{fruit}_000.jpg" for fruit in ("grape", "pineapple", "strawberry")]
    page.drop(files)
    check_against_identify(answers(page), files)
    names = "[...document.querySelectorAll('.card img')].map(image => image.alt)"
    assert page.run(names) == [file.name for file in files]


@needs_chromium
@pytest.mark.runtimes
class TestInChromium:
    def test_what_speaks_for_the_answer_is_orange(self, page: Page) -> None:
        (answer,) = give(page, [SAMPLE / "pineapple/pineapple_000.jpg"])
        page.run("document.querySelector('.why').click()")
        evidence = np.reshape(answer["evidence"], (3, 7, 7))
        places = evidence[np.argmax(answer["probabilities"])] - evidence.mean(axis=0)
        strength = places / np.abs(places).max()
        for sign, colour in ((1, (255, 120, 0)), (-1, (0, 90, 255))):
            row, column = np.unravel_index((sign * strength).argmax(), strength.shape)
            across, down = (
                f"Math.floor(canvas.{side} * {place + 0.5} / 7)" for side, place in (("width", column), ("height", row))
            )
            pixel = page.run(
                "(() => { const canvas = document.querySelector('.card canvas');"
                f"return [...canvas.getContext('2d').getImageData({across}, {down}, 1, 1).data] }})()"
            )
            assert abs(pixel[3] / 255 - 0.6 * abs(strength[row, column])) < 0.06
            assert np.abs(np.subtract(pixel[:3], colour)).max() < 60, (pixel, colour)
        assert page.run("document.querySelector('.card canvas').getBoundingClientRect().width") > 100

    def test_the_golden_vectors_of_the_shipped_model(self, tmp_path: Path) -> None:
        server = Server(export_page(SHIPPED, tmp_path / "page"))
        golden = json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))
        with Page() as page:
            load(page, server)
            found = give(page, [GOLDEN / entry["file"] for entry in golden["pictures"]])
            assert page.errors == [] and foreign(page.requests, server) == []
        server.stop()
        for answer, entry in zip(found, golden["pictures"], strict=True):
            assert np.abs(np.subtract(answer["probabilities"], entry["probabilities"])).max() <= TOLERANCE, entry[
                "file"
            ]
            assert abs(answer["familiarity"] - entry["familiarity"]) <= TOLERANCE, entry["file"]
            assert np.abs(answer["evidence"] - np.ravel(entry["evidence"])).max() <= 0.01, entry["file"]

    def test_every_kind_of_picture_as_pillow_decodes_it(self, page: Page, tmp_path: Path) -> None:
        files = write_kinds(tmp_path)
        check_against_identify(give(page, files), files)

    def test_photographs_get_the_answers_of_identify(self, page: Page, photographs: Path) -> None:
        files = sorted((photographs / "photos").rglob("*.*"))[::60] + sorted((photographs / "examples").iterdir())
        check_against_identify(give(page, files), files, tolerance=1e-2)

    def test_the_page_starts_and_answers_without_a_network(self, folder: Path, tmp_path: Path) -> None:
        server = Server(folder)
        with Page() as page:
            load(page, server)
            page.wait("navigator.serviceWorker.controller !== null")
            server.stop()
            load(page, server)
            assert page.run("navigator.serviceWorker.controller !== null")
            files = [SAMPLE / "grape/grape_001.jpg"]
            check_against_identify(give(page, files), files)
            assert page.errors == []

    def test_broken_files_say_so_and_stop_nothing(self, page: Page, tmp_path: Path) -> None:
        whole = (SAMPLE / "grape/grape_002.jpg").read_bytes()
        bad = {"cut.jpg": whole[: len(whole) // 2], "empty.png": b"", "text.jpg": b"no picture", "head.gif": b"GIF89a"}
        for name, content in bad.items():
            (tmp_path / name).write_bytes(content)
        good = [SAMPLE / "strawberry/strawberry_003.jpg", SAMPLE / "grape/grape_003.jpg"]
        found = give(page, [good[0], *(tmp_path / name for name in bad), good[1]])
        assert found[1:-1] == [None] * len(bad)
        check_against_identify([found[0], found[-1]], good)
        texts = page.run("[...document.querySelectorAll('.card.error')].map(card => card.innerText)")
        assert len(texts) == len(bad)
        assert all("Not readable" in text and "This file is broken" in text for text in texts)
        assert page.run("document.getElementById('summary').textContent").startswith("6 in all: ")

    def test_fifty_megapixels_are_answered(self, page: Page, tmp_path: Path) -> None:
        file = tmp_path / "large.jpg"
        with Image.open(SAMPLE / "pineapple/pineapple_001.jpg") as image:
            image.resize((8700, 5800), Image.Resampling.BICUBIC).save(file, quality=85)
        # `identify` decodes such a JPEG at a fraction of its size.
        check_against_identify(give(page, [file]), [file], tolerance=1e-2)

    def test_more_pixels_than_the_device_holds_are_not_tried(self, page: Page, tmp_path: Path) -> None:
        """A sound picture of black and white, 210 megapixels in 30 KB, which would take a gigabyte."""
        width, height = 15_000, 14_000
        head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
        rows = zlib.compress(bytes((1 + width // 8) * height), 9)
        parts = [(b"IHDR", head), (b"IDAT", rows), (b"IEND", b"")]
        chunks = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts]
        (tmp_path / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
        assert give(page, [tmp_path / "huge.png"]) == [None]
        assert "210 megapixels: too many for this device" in page.run("document.querySelector('.card').innerText")

    def test_a_worker_that_can_t_go_on_is_replaced(self, page: Page, tmp_path: Path) -> None:
        """As when WebAssembly has run out of memory: here the browser's own encoder fails."""
        fail = "OffscreenCanvas.prototype.convertToBlob = () => { throw new RangeError('no memory') }"
        page.run_in_worker(f"void ({fail})")
        files = [SAMPLE / f"grape/grape_00{number}.jpg" for number in range(3)]
        found = give(page, files)
        assert found[0] is None
        check_against_identify(found[1:], files[1:])

    def test_the_policy_lets_neither_the_page_nor_its_worker_reach_anybody(
        self, server: Server, tmp_path: Path
    ) -> None:
        other = Server(tmp_path)
        with Page() as page:
            load(page, server)
            ask = f"fetch('{other.address}', {{mode: 'no-cors'}}).then(() => 'reached', () => 'refused')"
            assert page.run(ask) == "refused"
            assert page.run_in_worker(ask) == "refused"
            assert page.errors and all("Content Security Policy" in error for error in page.errors)
            page.run("document.body.append(Object.assign(document.createElement('script'), {textContent: 'hit = 1'}))")
            assert page.run("typeof hit") == "undefined"
        other.stop()

    def test_the_keyboard_does_all_of_it(self, page: Page) -> None:
        reached = []
        for _ in range(4):
            page.press("Tab")
            reached.append(page.run("document.activeElement.id || document.activeElement.tagName"))
        assert reached == ["language", "choose", "SUMMARY", "A"]
        give(page, [SAMPLE / "grape/grape_000.jpg", SAMPLE / "grape/grape_001.jpg"])
        page.run("document.querySelector('.why').focus()")
        page.press("Enter")
        assert page.run("document.querySelector('.why').ariaPressed") == "true"
        page.run("document.querySelector('.remove').focus()")
        page.press("Enter")
        assert page.run("document.querySelectorAll('.card').length") == 1
        assert page.run("document.activeElement.className") == "remove", "the focus goes to the next picture"
        page.press("Enter")
        assert page.run("document.activeElement.id") == "choose"

    def test_a_screen_reader_is_told_names_and_answers(self, page: Page) -> None:
        give(page, [SAMPLE / "grape/grape_000.jpg"])
        said = page.accessible()
        assert 'button "Remove grape_000.jpg"' in said and 'img "grape_000.jpg"' in said
        roles = re.findall(r"- (button|img|link|combobox)( \"[^\"]+\")?", said)
        assert roles and all(name for _, name in roles)
        label = page.run("document.querySelector('h3').textContent")
        assert f'heading "{label}"' in said
        assert page.run("document.getElementById('summary').role ?? ''") == "status"

    def test_all_of_it_is_said_in_the_language_that_is_chosen(self, page: Page, server: Server) -> None:
        give(page, [SAMPLE / "grape/grape_000.jpg", ASSETS / "style.css"])
        english = page.run("document.body.innerText")
        choose = "const choice = document.getElementById('language'); choice.value = 'zh'; "
        page.run(f"(() => {{ {choose} choice.dispatchEvent(new Event('change')) }})()")
        chinese = page.run("document.body.innerText")
        assert page.run("document.documentElement.lang") == "zh"
        words = set(re.findall(r"[A-Za-z][A-Za-z_.0-9]+", chinese))
        names = {"fruit_net", "ONNX", "Runtime", "MIT", "JPEG", "PNG", "WebP", "grape_000.jpg", "style.css", "English"}
        assert words <= names, words - names
        assert "葡萄" in chinese and "grape" in english
        load(page, server)
        assert page.run("document.documentElement.lang") == "zh", "it is remembered"

    def test_a_picture_can_be_pasted(self, page: Page) -> None:
        data = list((SAMPLE / "grape/grape_004.jpg").read_bytes())
        page.run(
            "(() => { const data = new DataTransfer(); "
            f"data.items.add(new File([new Uint8Array({data})], 'pasted.jpg', {{type: 'image/jpeg'}})); "
            "dispatchEvent(new ClipboardEvent('paste', {clipboardData: data})) })()"
        )
        check_against_identify(answers(page), [SAMPLE / "grape/grape_004.jpg"])

    @pytest.mark.parametrize("dark", [False, True])
    def test_it_fits_a_phone_in_dark_and_light(self, server: Server, tmp_path: Path, dark: bool) -> None:
        with Page(width=390, height=844, dark=dark) as page:
            load(page, server)
            give(page, [SAMPLE / "grape/grape_000.jpg", ASSETS / "style.css"])
            assert page.run("document.documentElement.scrollWidth") == 390
            assert page.run("document.getElementById('photograph').getBoundingClientRect().height") >= 44
            small = "[...document.querySelectorAll('button')].filter(one => one.offsetHeight && one.offsetHeight < 40)"
            assert page.run(f"{small}.length") == 0
            page.screenshot(tmp_path / "phone.png", whole=False)
        with Image.open(tmp_path / "phone.png") as image:
            assert (np.asarray(image.convert("L")).mean() < 128) == dark


def write_kinds(folder: Path) -> list[Path]:
    """A drawn picture in every kind that decoders treat differently.

    Not among them: a turned WebP. Chromium shows it as it is stored, on this page as everywhere.
    """
    image = draw(np.random.default_rng(8), 323, 241)
    rgb = image.convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds: dict[str, tuple[Image.Image, dict]] = {
        "subsampled.jpg": (rgb, {"quality": 80, "subsampling": 2}),
        "half.jpg": (rgb, {"quality": 80, "subsampling": 1}),
        "progressive.jpg": (rgb, {"quality": 80, "progressive": True}),
        "turned.jpg": (rgb, {"quality": 90, "exif": exif}),
        "profile.jpg": (rgb, {"quality": 90, "icc_profile": swapped_profile()}),
        "profile.png": (rgb, {"icc_profile": swapped_profile()}),
        "turned.png": (rgb, {"exif": exif}),
        "alpha.png": (image, {}),
        "alpha.webp": (image, {"lossless": True}),
        "lossy.webp": (rgb, {"quality": 80}),
        "palette.gif": (rgb.quantize(64), {}),
        "plain.bmp": (rgb, {}),
        "grey.jpg": (rgb.convert("L"), {}),
    }
    for name, (picture, options) in kinds.items():
        picture.save(folder / name, **options)
    return [folder / name for name in kinds]


def swapped_profile() -> bytes:
    """sRGB with red and blue exchanged: who follows it sees other fruit."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")


@pytest.fixture
def fake_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program called npm, alone on the PATH with what a shell needs."""
    file = tmp_path / "bin/npm"
    file.parent.mkdir()
    monkeypatch.setenv("PATH", f"{file.parent}:{os.defpath}")
    return file


def write_program(file: Path, text: str) -> None:
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def test_other_bytes_than_the_pinned_ones_are_refused(fake_npm: Path, tmp_path: Path) -> None:
    write_program(fake_npm, 'while [ "$1" != --pack-destination ]; do shift; done; echo other > "$2/package.tgz"')
    with pytest.raises(ExportError, match=r"onnxruntime-web@\S+: npm brought other bytes .*sha512-.*npm cache clean"):
        write_site(OnnxSource(SMALL / ONNX), tmp_path / "page")
    assert not (tmp_path / "page").exists()


@pytest.mark.parametrize(
    ("code", "remedy"), [("ENOTFOUND", "connect to the network"), ("EACCES", r"let npm write its cache \(npm_config_")]
)
def test_where_nothing_is_fetched_it_says_what_npm_says(code: str, remedy: str, fake_npm: Path, tmp_path: Path) -> None:
    write_program(fake_npm, f"echo 'npm error code {code}' >&2; exit 1")
    with pytest.raises(ExportError, match=rf"can't be fetched with npm \(code {code}\); {remedy}"):
        write_site(OnnxSource(SMALL / ONNX), tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_without_npm_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExportError, match=r"page: needs npm, which is not here; install Node\.js"):
        write_site(OnnxSource(SMALL / ONNX), tmp_path / "page")


@pytest.mark.runtimes
def test_the_folder_is_whole_and_its_service_worker_keeps_all_of_it(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "page")
    folder = tmp_path / "page"
    text = (folder / "service-worker.js").read_text()
    files = json.loads(re.search(r"const FILES = ({[^}]*});", text)[1])  # type: ignore[index]
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(files) == there - {"service-worker.js"}
    assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest for name, digest in files.items())
    version = re.search(r'const VERSION = "(v-\w{16})"', text)[1]  # type: ignore[index]
    assert {name.partition("/")[0] for name in files} == {"index.html", version}, "all but two names are the version's"
    assert "Microsoft" in (folder / version / "onnxruntime/LICENSE").read_text()
    licences = (folder / version / "licences.txt").read_text()
    assert all((REPOSITORY / file).read_text() in licences for file in ("LICENSE", "licenses/Apache-2.0.txt"))
    assert f'href="{version}/licences.txt"' in (folder / "index.html").read_text()
    wasm = folder / version / "onnxruntime/ort-wasm-simd-threaded.wasm"
    assert len(zlib.compress(wasm.read_bytes(), 9)) < 4e6
    source = OnnxSource(SMALL / ONNX)
    (folder / version / "style.css").write_text("")
    with pytest.raises(ExportError, match=r"its files \['v-\w+/style.css'\] are not those listed"):
        prove_site(source, folder)
    assert set(earlier_site(folder) or ()) == {version}
    for name in ("v-0123456789abcdef", "mine"):
        (folder / name).mkdir()
    (parity,) = export_checkpoint(SMALL, formats=["page"], to=tmp_path, force=True)
    assert parity.details.endswith(f"--directory {folder}")
    assert (folder / "service-worker.js").read_text() == text, "the same page again"
    assert {path.name for path in folder.iterdir()} == {"index.html", "service-worker.js", "mine", version}
    assert prove_site(source, folder).images == 10


def node(script: str, given: object) -> list:
    """What a module's script makes of `given`; JSON both ways."""
    if NODE is None:
        pytest.skip("no node here: the page's modules are not run")
    text = (
        "import { readFileSync } from 'node:fs'; const given = JSON.parse(readFileSync(0));"
        # As a module whatever its name: to older versions of node a .js file is none.
        "const load = (name) => import(`data:text/javascript;base64,${readFileSync(name).toString('base64')}`);"
        + script
    )
    done = subprocess.run(
        [NODE, "--input-type=module", "--eval", text],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        cwd=ASSETS,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("width", "size"), [(1, 1), (5, 5), (7, 3), (113, 112), (224, 112), (333, 112), (1000, 224), (8191, 112)]
)
def test_a_row_is_narrowed_as_pillow_does_it(width: int, size: int) -> None:
    rows = np.random.default_rng(width).integers(0, 256, (2, width, 4), np.uint8)
    rows[1] = np.where(rows[1] > 127, 255, 0)
    script = (
        "const { acrossWeights, narrowRow } = await load('narrow.js');"
        "const weights = acrossWeights(given.width, given.size);"
        "const all = given.rows.map((row) => { const out = new Uint8Array(given.size * 3);"
        "narrowRow(new Uint8ClampedArray(row), weights, out); return [...out]; });"
        "console.log(JSON.stringify(all))"
    )
    found = node(script, {"width": width, "size": size, "rows": rows.reshape(2, -1).tolist()})
    image = Image.fromarray(np.ascontiguousarray(rows[..., :3]))
    expected = image.resize((size, 2), Image.Resampling.BILINEAR)
    assert np.array_equal(np.reshape(found, (2, size, 3)), expected)


def test_the_size_is_in_the_head_of_each_kind_of_file(tmp_path: Path) -> None:
    kinds = ("JPEG", "PNG", "GIF", "WEBP", "WEBP lossless", "WEBP alpha", "BMP")
    contents, expected = [], []
    for number, kind in enumerate(kinds):
        size = (41 + number, 300 - number)
        image = draw(np.random.default_rng(number), *size).convert("RGBA" if "alpha" in kind else "RGB")
        exif = Image.Exif()
        exif[0x0112] = 6
        options = {"lossless": True} if "lossless" in kind else {"exif": exif} if kind == "JPEG" else {}
        image.save(tmp_path / "file", kind.split()[0], **options)
        contents.append(list((tmp_path / "file").read_bytes()))
        expected.append(None if kind == "BMP" else {"width": size[0], "height": size[1]})
    script = (
        "const { pictureSize } = await load('size.js');"
        "const sizes = given.map((bytes) => pictureSize(new Blob([new Uint8Array(bytes)])));"
        "console.log(JSON.stringify(await Promise.all(sizes)))"
    )
    assert node(script, contents) == expected
    assert node(script, [content[:14] for content in contents]) == [None] * len(kinds[:2]) + [
        expected[2], *[None] * len(kinds[3:])
    ]  # fmt: skip


def test_both_languages_say_the_same_things() -> None:
    strings = json.loads((ASSETS / "strings.json").read_text(encoding="utf-8"))
    english, chinese = strings["en"], strings["zh"]
    assert english.keys() == chinese.keys()
    for key in english.keys() - {"labels"}:
        assert set(re.findall(r"\{\w+\}", english[key])) == set(re.findall(r"\{\w+\}", chinese[key])), key
    sources = "".join(path.read_text(encoding="utf-8") for path in ASSETS.iterdir() if path.suffix in (".js", ".html"))
    used = set(re.findall(r'data-text="(\w+)"', sources)) | set(re.findall(r'"(\w+)"', sources))
    assert english.keys() - {"labels"} <= used
    assert set(re.findall(r'data-text="(\w+)"', sources)) <= english.keys()


def test_nothing_in_the_page_names_another_host() -> None:
    for path in ASSETS.iterdir():
        if path.name == "licences.txt":  # plain text, in which nothing is a link
            continue
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "//" not in re.sub(r"(^|\s)//.*", "", text), path.name
