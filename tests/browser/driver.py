"""A real browser, driven over the W3C WebDriver protocol: the few calls the tests need, with nothing to install."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.mysql.server import free_port
from tests.runtime.support import LONGEST_SECONDS, eventually

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DRIVERS = ("chromedriver", "chromium.chromedriver")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # as root, as in containers, Chromium refuses to start with it; the pages are our own
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
)


class WebDriverError(Exception):
    """What the browser could not do: the protocol's error code and its message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


GONE = "does not belong to the document"
"""What Chromium says, without a code of its own, of an element whose page was left between finding and reading it."""


class Browser:
    """One window. Elements are found by CSS selector, and each call waits for the page that a click leads to."""

    def __init__(self, session_url: str) -> None:
        self._session_url = session_url

    def open(self, url: str) -> None:
        self._call("POST", "/url", {"url": url})

    @property
    def url(self) -> str:
        return str(self._call("GET", "/url"))

    @property
    def title(self) -> str:
        return str(self._call("GET", "/title"))

    def text(self, selector: str = "body") -> str:
        return str(self._call("GET", f"/element/{self._find(selector)}/text"))

    def click(self, selector: str) -> None:
        self._call("POST", f"/element/{self._find(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        self._call("POST", f"/element/{self._find(selector)}/value", {"text": text})

    def press(self, key: str) -> None:
        """Press a key, wherever the focus is."""
        keys = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self._call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": keys}]})

    def count(self, selector: str) -> int:
        return len(self._call("POST", "/elements", {"using": "css selector", "value": selector}))

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression. The driver may run it even where the page may run none."""
        return self._call("POST", "/execute/sync", {"script": f"return {script}", "args": []})

    def shows(self, text: str) -> bool:
        """Whether the page has this text now; False also while one page gives way to the next."""
        try:
            return text in self.text()
        except WebDriverError as error:
            if error.code not in ("no such element", "stale element reference") and GONE not in str(error):
                raise
            return False

    def cookies(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._call("GET", "/cookie")
        return found

    def resize(self, width: int, height: int) -> None:
        """Set the size of the page, not of the window around it: windows have a least width, phones are narrower."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, scheme: str) -> None:
        """Light or dark, as the system of the visitor would say."""
        self.devtools("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("GET", "/screenshot")))

    def close(self) -> None:
        self._call("DELETE", "")

    def _find(self, selector: str) -> str:
        found = self._call("POST", "/element", {"using": "css selector", "value": selector})
        return str(found[ELEMENT])

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        return _call(method, f"{self._session_url}{path}", body)


def missing() -> str | None:
    """Why no browser can be started here; None when one can."""
    for names, package in ((BROWSERS, "chromium"), (DRIVERS, "chromium-driver")):
        if _program(names) is None:
            return f"{names[0]} is not installed (Debian: apt-get install {package})"
    return None


@contextmanager
def browser(folder: Path, *options: str) -> Iterator[Browser]:
    """A headless browser with a fresh profile below `folder`; every process of it ends with the block."""
    port = free_port()
    driver = _program(DRIVERS)
    assert driver is not None
    with (folder / "chromedriver.log").open("wb") as said:
        process = subprocess.Popen(
            [driver, f"--port={port}"], stdout=said, stderr=said, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        eventually(lambda: _ready(port))
        page = _start(f"http://127.0.0.1:{port}", folder / "profile", options)
        try:
            yield page
        finally:
            with suppress(WebDriverError, OSError):
                page.close()
    finally:
        # The browser is a child of the driver, in the same session: this ends both, whatever state they are in.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(LONGEST_SECONDS)


def _start(driver_url: str, profile: Path, options: tuple[str, ...]) -> Browser:
    chrome = {"binary": _program(BROWSERS), "args": [*OPTIONS, f"--user-data-dir={profile}", *options]}
    wanted = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": chrome}}}
    session = _call("POST", f"{driver_url}/session", wanted)
    return Browser(f"{driver_url}/session/{session['sessionId']}")


def _ready(port: int) -> bool:
    try:
        return bool(_call("GET", f"http://127.0.0.1:{port}/status")["ready"])
    except OSError:
        return False


def _call(method: str, url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())["value"]
    except urllib.error.HTTPError as error:
        value = json.loads(error.read())["value"]
        raise WebDriverError(value["error"], value["message"].splitlines()[0]) from None


def _program(names: tuple[str, ...]) -> str | None:
    return next((path for name in names if (path := shutil.which(name))), None)
