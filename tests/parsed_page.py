"""A page as a browser takes it in, and text that must do nothing in one."""

from __future__ import annotations

from html.parser import HTMLParser

ATTACKS = (
    "<script>alert(1)</script>",
    '"onerror=alert(1) x="',
    "</style></title></svg><b>",
    "'><img src=x onerror=alert(1)>",
    "{{ 7*7 }}",
)


class Parsed(HTMLParser):
    """What a browser would make of the page: elements with their attributes, and its visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str) -> int:
        return sum(1 for name, _ in self.elements if name == tag)

    def sources(self) -> list[str]:
        return [attributes["src"] or "" for tag, attributes in self.elements if tag == "img"]
