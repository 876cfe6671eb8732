"""Deployments: a visitor has one version of the page, whole, whatever lies on the server; none takes over unasked."""

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fruitcnn.checkpoint import SHIPPED
from tests.browser.visits import SAMPLE, SMALL, Server, answers, check_against_identify, export_page, give, load
from tests.chromium import CHROMIUM, Page

assert SHIPPED is not None
PICTURE = SAMPLE / "grape/grape_001.jpg"
STARTED = "document.documentElement.dataset.model === 'ready'"
CONTROLLED = "navigator.serviceWorker.controller !== null"
OFFERED = "document.getElementById('newer').hidden === false"
LOOK_FOR_NEWER = "navigator.serviceWorker.getRegistration().then((one) => one.update()).then(() => true, () => false)"

pytestmark = [
    pytest.mark.runtimes,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: the page is not looked at"),
]


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Path]:
    """The pages of two models, by the model; they differ in network, size and date."""
    return {model: export_page(model, tmp_path_factory.mktemp("page") / "page") for model in (SMALL, SHIPPED)}


@pytest.fixture
def site(versions: dict[Path, Path], tmp_path: Path) -> Path:
    """A web server's folder with the first version."""
    return Path(shutil.copytree(versions[SMALL], tmp_path / "site"))


@pytest.fixture
def server(site: Path) -> Iterator[Server]:
    server = Server(site)
    yield server
    server.stop()


def parts(folder: Path) -> dict[str, Path]:
    (version,) = folder.glob("v-*")
    return {"files": version, "start": folder / "index.html", "worker": folder / "service-worker.js"}


def upload(part: Path, site: Path) -> None:
    if part.is_dir():
        shutil.copytree(part, site / part.name, dirs_exist_ok=True)
    else:
        shutil.copy(part, site)


def remove_first(site: Path, versions: dict[Path, Path]) -> None:
    shutil.rmtree(site / parts(versions[SMALL])["files"].name)


def visit_once(page: Page, server: Server) -> None:
    load(page, server)
    page.wait(CONTROLLED)


def check_model(page: Page, model: Path) -> None:
    check_against_identify(give(page, [PICTURE]), [PICTURE], model=model)
    page.run("document.getElementById('clear').click()")


@pytest.mark.parametrize("order", list(itertools.permutations(("files", "start", "worker"))), ids="-".join)
def test_half_a_deployment_is_no_deployment(
    order: tuple[str, ...], versions: dict[Path, Path], site: Path, server: Server
) -> None:
    """Who was there before keeps the first version, whole, until all of the second lies there."""
    new = parts(versions[SHIPPED])
    with Page() as page:
        visit_once(page, server)
        remove_first(site, versions)
        for name in order[:-1]:
            upload(new[name], site)
            page.come_again()
            load(page, server)
            page.run(LOOK_FOR_NEWER)
            assert not page.run(OFFERED)
            check_model(page, SMALL)
        upload(new[order[-1]], site)
        page.run(LOOK_FOR_NEWER)
        page.wait(OFFERED)
        check_model(page, SMALL)
        page.run("document.getElementById('renew').click()")
        page.wait(f"!({OFFERED}) && {STARTED}")
        check_model(page, SHIPPED)


def test_a_newcomer_in_the_middle_is_told_and_then_has_the_new_version(
    versions: dict[Path, Path], site: Path, server: Server
) -> None:
    new = parts(versions[SHIPPED])
    upload(new["start"], site)
    upload(new["files"], site)
    graph = site / new["files"].name / "image.onnx"
    whole = graph.read_bytes()
    graph.unlink()
    with Page() as page:
        page.open(server.address)
        page.wait("document.documentElement.dataset.model === 'missing'")
        said = page.run("document.getElementById('summary').innerText")
        assert "image.onnx: 404" in said and "browser" not in said
        graph.write_bytes(whole)
        upload(new["worker"], site)
        load(page, server)
        check_model(page, SHIPPED)


@pytest.mark.parametrize("stale", ["image.onnx", "card.json"])
def test_a_stale_file_keeps_a_version_from_taking_over(
    stale: str, versions: dict[Path, Path], site: Path, server: Server
) -> None:
    new = parts(versions[SHIPPED])
    with Page() as page:
        visit_once(page, server)
        for part in new.values():
            upload(part, site)
        place = site / new["files"].name / stale
        whole = place.read_bytes()
        place.write_bytes((parts(versions[SMALL])["files"] / stale).read_bytes())
        for _ in range(2):
            page.come_again()
            load(page, server)
            page.run(LOOK_FOR_NEWER)
            assert not page.run(OFFERED)
            check_model(page, SMALL)
        place.write_bytes(whole)
        page.run(LOOK_FOR_NEWER)
        page.wait(OFFERED)


def test_an_open_tab_keeps_its_version_when_its_worker_starts_again(
    versions: dict[Path, Path], site: Path, server: Server
) -> None:
    with Page() as page:
        visit_once(page, server)
        for part in parts(versions[SHIPPED]).values():
            upload(part, site)
        remove_first(site, versions)
        page.run(LOOK_FOR_NEWER)
        page.wait(OFFERED)
        fail = "OffscreenCanvas.prototype.convertToBlob = () => { throw new RangeError('no memory') }"
        page.run_in_worker(f"void ({fail})")
        found = give(page, [PICTURE, SAMPLE / "grape/grape_002.jpg"])
        assert found[0] is None
        check_against_identify(found[1:], [SAMPLE / "grape/grape_002.jpg"], model=SMALL)


def test_closing_all_tabs_brings_the_new_version_and_drops_the_old_one(
    versions: dict[Path, Path], site: Path, server: Server
) -> None:
    with Page() as page:
        visit_once(page, server)
        for part in parts(versions[SHIPPED]).values():
            upload(part, site)
        page.requests.clear()
        page.run(LOOK_FOR_NEWER)
        page.wait(OFFERED)
        assert page.run("caches.keys().then((names) => names.length)") == 2
        names = {url.rpartition("/")[2] for url in page.requests}
        assert "image.onnx" in names
        assert "ort-wasm-simd-threaded.wasm" not in names, "what has not changed is not fetched again"
        page.come_again()
        load(page, server)
        check_model(page, SHIPPED)
        page.wait("caches.keys().then((names) => names.length === 1)")


def test_it_works_with_cookies_blocked(server: Server) -> None:
    """The browser then throws where something would be stored."""
    block = (
        "const denied = () => { throw new DOMException('denied', 'SecurityError'); };"
        "Object.defineProperty(window, 'localStorage', { get: denied });"
        "Object.defineProperty(Navigator.prototype, 'serviceWorker', { get: denied });"
    )
    with Page(first=block) as page:
        load(page, server)
        check_model(page, SMALL)
        assert page.run("document.getElementById('offline').hidden")
        page.run(
            "(() => { const choice = document.getElementById('language'); choice.value = 'zh';"
            "choice.dispatchEvent(new Event('change')) })()"
        )
        assert page.run("document.documentElement.lang") == "zh" and page.errors == []


def test_over_http_it_works_and_promises_no_more(server: Server) -> None:
    with Page(host="page.test") as page:
        page.open(server.address.replace("127.0.0.1", "page.test"))
        page.wait(STARTED)
        assert not page.run("isSecureContext")
        check_model(page, SMALL)
        assert "offline" not in page.run("document.querySelector('main').innerText")
        assert page.errors == []
    with Page() as page:
        visit_once(page, server)
        page.wait("!document.getElementById('offline').hidden")
        assert "The page now works offline" in page.run("document.querySelector('main').innerText")


def test_two_hundred_pictures_are_removed_at_once(server: Server, tmp_path: Path) -> None:
    with Page() as page:
        load(page, server)
        files = [Path(shutil.copy(PICTURE, tmp_path / f"{number}.jpg")) for number in range(200)]
        page.choose("#files", files)
        page.run("void (HTMLElement.prototype.focus = () => (window.focused = (window.focused ?? 0) + 1))")
        page.run("document.getElementById('clear').click()")
        assert page.run("[window.focused, document.querySelectorAll('.card').length]") == [1, 0]
        # What was waiting is not looked at any more: the next picture is answered next.
        check_against_identify(give(page, [PICTURE]), [PICTURE])
        assert len(answers(page)) == 1


def test_forced_colours_keep_bars_and_crosses(server: Server) -> None:
    with Page(forced_colours=True) as page:
        load(page, server)
        give(page, [PICTURE])
        colour = "getComputedStyle(document.querySelector('{}'){}).backgroundColor"
        fill, track = (page.run(colour.format(f".bars .{name}", "")) for name in ("fill", "track"))
        assert fill != track
        cross, button = (page.run(colour.format(".remove", pseudo)) for pseudo in (", '::before'", ""))
        assert cross != button
        assert page.run(colour.format(".mark", "")) != track
