"""What people send from pages: bounded fields of an HTML form, with the errors that name them."""

from __future__ import annotations

from flask import request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge

from controller.domain.errors import Invalid, Malformed, TooLarge
from controller.domain.orders import Order
from controller.web.access import order
from controller.web.http import MOST_BYTES

_LONGEST_LINE = 500
LONGEST_TEXT = 200_000


class Form:
    """The fields of the present request's form; what a field holds is trimmed."""

    def __init__(self) -> None:
        request.max_content_length = MOST_BYTES
        if (request.content_length or 0) > MOST_BYTES:
            raise _too_large()
        try:
            self._fields: MultiDict[str, str] = request.form
        except RequestEntityTooLarge:
            raise _too_large() from None
        if any("\0" in value for values in self._fields.listvalues() for value in values):
            raise Malformed("a field has a NUL character in it; leave it out")

    def line(self, name: str, *, most: int = _LONGEST_LINE) -> str:
        """One line of text; empty where there is none."""
        return self.text(name, most=most).replace("\r", " ").replace("\n", " ")

    def text(self, name: str, *, most: int = LONGEST_TEXT) -> str:
        """Text of several lines.

        Raises:
            Invalid: it is longer than that.
        """
        value = self._fields.get(name, "").replace("\r\n", "\n").strip()
        if len(value) > most:
            raise Invalid(f"write at most {most:,} characters", field=name)
        return value

    def needed(self, name: str, why: str) -> str:
        """A line that must not be empty.

        Raises:
            Invalid: it is.
        """
        value = self.line(name)
        if not value:
            raise Invalid(why, field=name)
        return value

    def reason(self) -> str:
        """Why somebody does what they do: asked for by every button."""
        return self.needed("reason", "say why in a few words; whoever reads the audit trail needs it")

    def checked(self, name: str) -> bool:
        """Whether a box is ticked."""
        return name in self._fields

    def several(self, name: str) -> list[str]:
        """Every value of a field that comes several times."""
        return [value.strip() for value in self._fields.getlist(name)]

    def version(self) -> int | None:
        """The version that the page showed; None where the act does not depend on it."""
        text = self.line("version", most=20)
        if not text:
            return None
        if not (text.isascii() and text.isdecimal()):
            raise Invalid("this is not a version; open the page again", field="version")
        return int(text)

    def order(self) -> Order:
        """A person's order with its reason.

        Raises:
            Invalid: it has no reason.
        """
        return order(self.reason(), self.version(), force=self.checked("force"))


def _too_large() -> TooLarge:
    return TooLarge(f"the form is larger than {MOST_BYTES:,} bytes; shorten it")
