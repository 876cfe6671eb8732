"""A headless Chromium, the one that is installed here, driven by Playwright."""

import shutil
import time
from pathlib import Path
from typing import Any, Self

import playwright.sync_api
from playwright.sync_api import ConsoleMessage, Request, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page:
    """One page and its workers: what they asked the network for is in `requests`, their complaints in `errors`."""

    def __init__(
        self,
        *,
        width: int = 1280,
        height: int = 900,
        dark: bool = False,
        forced_colours: bool = False,
        first: str = "",
        host: str = "",
    ) -> None:
        """Start it. first: a script that runs before the page's own; host: a name that stands for this machine."""
        assert CHROMIUM
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", *([f"--host-resolver-rules=MAP {host} 127.0.0.1"] if host else [])],
        )
        phone = width < 600
        context = self._browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            forced_colors="active" if forced_colours else "none",
            is_mobile=phone,
            has_touch=phone,
        )
        if first:
            context.add_init_script(first)
        self._context = context
        self._page = self._new_tab()
        # Workers, the service worker too, are heard by the context.
        context.on("console", self._console)
        context.on("request", self._request)

    def _new_tab(self) -> playwright.sync_api.Page:
        page = self._context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        return page

    def come_again(self) -> None:
        """Close the tab and have a new one, as a visitor who comes back."""
        self._page.close()
        self._page = self._new_tab()

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _request(self, request: Request) -> None:
        if not request.url.startswith("data:"):
            self.requests.append(request.url[:100])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._browser.close()
        self._playwright.stop()

    def open(self, place: Path | str) -> None:
        """Load a file or an address and wait until it stands."""
        self.requests.clear()
        self._page.goto(place.resolve().as_uri() if isinstance(place, Path) else place)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for."""
        return self._page.evaluate(script)

    def run_in_worker(self, script: str) -> Any:
        """The same in the page's dedicated worker."""
        return self._page.workers[0].evaluate(script)

    def accessible(self) -> str:
        """What a screen reader is given: a line an element, with its role and its name."""
        return self._page.locator("body").aria_snapshot()

    def wait(self, condition: str, seconds: float = 60) -> None:
        """Wait until a JavaScript expression is true; Playwright's own waiting evaluates where a page may forbid it."""
        until = time.monotonic() + seconds
        while not self._holds(condition):
            assert time.monotonic() < until, f"not within {seconds} s: {condition}; errors: {self.errors}"
            self._page.wait_for_timeout(50)

    def _holds(self, condition: str) -> bool:
        try:
            return bool(self.run(condition))
        except playwright.sync_api.Error as error:
            # While another page takes its place it can't be asked.
            if "Execution context was destroyed" not in error.message:
                raise
            return False

    def drop(self, files: list[Path], *, x: int = 400, y: int = 300) -> None:
        """Drag files into the page and let go of them."""
        data = {"items": [], "files": [str(file.resolve()) for file in files], "dragOperationsMask": 1}
        protocol = self._page.context.new_cdp_session(self._page)
        for kind in ("dragEnter", "dragOver", "drop"):
            protocol.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})

    def choose(self, selector: str, files: list[Path]) -> None:
        """Give files to an <input type=file>, as its dialog does."""
        self._page.set_input_files(selector, files)

    def press(self, key: str) -> None:
        """A key, as a keyboard sends it."""
        self._page.keyboard.press(key)

    def download(self, selector: str, folder: Path) -> Path:
        """Click on what downloads a file; returns the file, under the name that the page gives it."""
        with self._page.expect_download() as waiting:
            self._page.click(selector)
        file = folder / waiting.value.suggested_filename
        waiting.value.save_as(file)
        return file

    def screenshot(self, file: Path, *, whole: bool = True) -> None:
        """A PNG of the page."""
        self._page.screenshot(path=file, full_page=whole)

    def screenshot_of(self, file: Path, *selectors: str, margin: int = 8) -> None:
        """A PNG of the part of the page in which these elements lie."""
        boxes = [self._page.locator(selector).bounding_box() for selector in selectors]
        left, top = (min(box[side] for box in boxes if box) - margin for side in ("x", "y"))
        right, bottom = (
            max(box[side] + box[length] for box in boxes if box) + margin
            for side, length in (("x", "width"), ("y", "height"))
        )
        clip = playwright.sync_api.FloatRect(x=left, y=top, width=right - left, height=bottom - top)
        self._page.screenshot(path=file, full_page=True, clip=clip)
