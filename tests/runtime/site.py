"""A web process, and somebody who visits it: reads pages, follows links, presses buttons."""

from __future__ import annotations

import http.client
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from html.parser import HTMLParser
from urllib.parse import urlencode

from runtime import start
from runtime.loop import Stop
from runtime.settings import Settings
from runtime.web.admin import Admin
from runtime.web.exchange import Request, Response
from runtime.web.server import Web
from tests.mysql.server import free_port
from tests.runtime.support import LONGEST_SECONDS, eventually, settings

TOKEN = "a-token-for-tests-9d1c"


@contextmanager
def serving(url: str | None = None, **variables: str) -> Iterator[int]:
    """A whole web process on a thread; its port."""
    port = free_port()
    web = Web(settings(url, PORT=str(port), **variables), Stop())
    thread = threading.Thread(target=web.run, daemon=True)
    thread.start()
    try:
        eventually(lambda: _answers(port))
        yield port
    finally:
        web.stop.request()
        thread.join(LONGEST_SECONDS)


def _answers(port: int) -> bool:
    try:
        get(port, "/health")
    except OSError:
        return False
    return True


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=LONGEST_SECONDS) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@contextmanager
def connected(port: int) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONGEST_SECONDS)
    try:
        yield connection
    finally:
        connection.close()


def administration(wanted: Settings) -> Admin:
    """What answers behind the server, without one."""
    return Admin(wanted, None if wanted.database_url is None else start.pool(wanted))


@dataclass
class Form:
    """A form as a browser would send it: hidden fields, and the first choice of each list."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    button: str = ""


class Page(HTMLParser):
    """What a browser makes of an answer. `faults` lists what a reader of any kind would stumble over."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source = text
        self.text = ""
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self.tags: list[str] = []
        self.metas: dict[str, str] = {}
        self.faults: list[str] = []
        self._open: list[str] = []
        self._ids: set[str] = set()
        self._labels: set[str] = set()
        self._link = self._select = self._button = ""
        self.feed(text)
        self.close()
        self.faults += [f"left open: {tag}" for tag in self._open]
        self.faults += [f"{self.tags.count('h1')} first headings"] if self.tags.count("h1") != 1 else []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        if tag not in ("meta", "link", "input"):
            self._open.append(tag)
        if "id" in known:
            self.faults += [f"id twice: {known['id']}"] if known["id"] in self._ids else []
            self._ids.add(known["id"])
        self.faults += [f"inline {name}" for name in known if name.startswith("on") or name == "style"]
        if tag == "form":
            self.forms.append(Form(known["action"]))
        elif tag == "input":
            self._input(known)
        elif tag == "label":
            self._labels.add(known["for"])
        elif tag == "select":
            self._select = known["name"]
            self.faults += [] if "aria-label" in known else [f"no label: {known['name']}"]
        elif tag == "option":
            self.forms[-1].fields.setdefault(self._select, known["value"])
        elif tag == "button":
            self._button = known.get("aria-label", "")
            self.forms[-1].button = self._button
        elif tag == "a":
            self._link = known["href"]
        elif tag == "meta" and "http-equiv" in known:
            self.metas[known["http-equiv"]] = known["content"]

    def _input(self, known: dict[str, str]) -> None:
        self.forms[-1].fields[known["name"]] = known.get("value", "")
        if known["type"] != "hidden" and known.get("id") not in self._labels:
            self.faults.append(f"no label: {known['name']}")

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"closed out of order: {tag}")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._open and self._open[-1] == "button":
            if not self._button:
                self.forms[-1].button = data
            elif data not in self._button:
                self.faults.append(f"says {data!r}, is called {self._button!r}")
        elif "a" in self._open:
            self.links[data] = self._link


class Visitor:
    """A browser without a window: keeps the cookie, follows redirects, presses the buttons that pages have."""

    def __init__(self, admin: Admin, peer: str = "192.0.2.1", **headers: str) -> None:
        self.admin = admin
        self.peer = peer
        self.headers = {"Host": "localhost:8080", **headers}
        self.cookie = ""
        self.page = Page("<h1></h1>")
        self.path = ""

    def ask(self, method: str, target: str, body: bytes = b"", /, **headers: str) -> Response:
        """One request, as it is; keeps the cookie of the answer."""
        message = Message()
        cookie = {"Cookie": self.cookie} if self.cookie else {}
        for name, value in {**self.headers, **cookie, **headers}.items():
            message[name.replace("_", "-")] = value
        path, _, query = target.partition("?")
        response = self.admin.answer(Request(method, path, query, message, body, self.peer))
        given = dict(response.headers).get("Set-Cookie")
        if given is not None:
            self.cookie = given.partition(";")[0]
        return response

    def open(self, target: str) -> Page:
        return self._arrive(self.ask("GET", target.partition("#")[0]), target)

    def send(self, form: Form, **fields: str) -> Page:
        """Send a form, some of its fields filled in or changed."""
        body = urlencode({**form.fields, **fields}).encode()
        return self._arrive(self.ask("POST", form.action, body), form.action)

    def press(self, button: str, **fields: str) -> Page:
        return self.send(self.form(button), **fields)

    def form(self, button: str) -> Form:
        (found,) = [form for form in self.page.forms if form.button == button]
        return found

    def sign_in(self, token: str = TOKEN) -> Page:
        self.open("/panel/sign-in")
        return self.press("Sign in", token=token)

    def _arrive(self, response: Response, target: str) -> Page:
        while response.status == 303:
            target = dict(response.headers)["Location"]
            response = self.ask("GET", target)
        self.path = target
        self.status = response.status
        self.page = Page(response.body.decode())
        assert not self.page.faults, self.page.faults
        return self.page
