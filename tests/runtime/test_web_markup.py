from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given, settings, strategies as st

from runtime.web.markup import Markup, document, element, join

# Without carriage returns and NUL, which HTML itself has other ideas about, and without half characters.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"))


class Reader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@settings(max_examples=200)
@given(text=texts, attribute=texts)
def test_whatever_the_text_it_stays_text(text: str, attribute: str) -> None:
    read = Reader(element("p", text, title=attribute))
    assert read.found == [("p", {"title": attribute})]
    assert read.text == text


def test_markup_is_not_escaped_twice() -> None:
    assert element("p", element("b", "1 < 2"), " & more") == "<p><b>1 &lt; 2</b> &amp; more</p>"
    assert join("<", Markup("<br>")) == "&lt;<br>"


def test_what_comes_out_of_markup_by_text_operations_is_text_again() -> None:
    assert element("p", element("b", "x") + "y") == "<p>&lt;b&gt;x&lt;/b&gt;y</p>"


def test_attributes_that_are_absent_or_bare() -> None:
    assert (
        element("input", type="hidden", value=None, disabled=False, required=True) == '<input type="hidden" required>'
    )
    assert element("a", "x", class_="quiet", aria_label='"y"') == '<a class="quiet" aria-label="&quot;y&quot;">x</a>'


def test_children_may_be_lists_and_may_be_missing() -> None:
    assert element("ul", None, [element("li", "a"), None, ["b"]]) == "<ul><li>a</li>b</ul>"


def test_a_document_is_bytes_even_of_half_characters() -> None:
    assert document(element("p", "\ud800")) == b"<!doctype html>\n<p>?</p>"
