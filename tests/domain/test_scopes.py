"""Which flags somebody may change."""

import pytest

from controller.domain.errors import Invalid, OutOfScope
from controller.domain.people import Person, check_password
from controller.domain.principals import Role
from controller.domain.scopes import EVERYWHERE, Scope, scope_of


def test_a_scope_names_flags_by_key_or_by_the_beginning_of_their_keys() -> None:
    scope = scope_of(["checkout", "chat.*"])
    assert [key for key in ("checkout", "checkout-2", "chat.emitter", "chat", "mychat.x") if scope.covers(key)] == [
        "checkout",
        "chat.emitter",
    ]
    with pytest.raises(OutOfScope, match=r"'mail' is outside; this covers checkout, chat\.\*"):
        scope.check("mail")


@pytest.mark.parametrize("flags", [[], ["*"], ["chat", "*"]])
def test_an_empty_scope_and_a_star_are_everything(flags: list[str]) -> None:
    assert scope_of(flags).everything
    assert scope_of(flags).covers("anything")


@pytest.mark.parametrize("bad", ["", " ", "a b", "ch*t", "**", "chat.*x", "ü", "x" * 129 + "*"])
def test_what_is_no_key_is_refused_by_its_place(bad: str) -> None:
    with pytest.raises(Invalid) as refused:
        scope_of(["fine", bad])
    assert refused.value.field == "flags[1]"


@pytest.mark.parametrize(
    ("inner", "outer", "within"),
    [
        (Scope(("a",)), EVERYWHERE, True),
        (EVERYWHERE, Scope(("a*",)), False),
        (Scope(("a", "ab*")), Scope(("a*",)), True),
        (Scope(("a*",)), Scope(("ab*",)), False),
        (Scope(("a*",)), Scope(("a",)), False),
        (Scope(("ab",)), Scope(("ab",)), True),
        (EVERYWHERE, EVERYWHERE, True),
    ],
)
def test_one_scope_is_within_another_when_it_covers_nothing_else(inner: Scope, outer: Scope, within: bool) -> None:
    assert inner.within(outer) is within


def test_only_operators_have_a_scope_and_people_are_no_programs() -> None:
    Person("ann", Role.OPERATOR, Scope(("chat.*",)))
    for role in (Role.VIEWER, Role.ADMIN):
        with pytest.raises(Invalid, match="a scope limits what an operator may change"):
            Person("ann", role, Scope(("chat.*",)))
    with pytest.raises(Invalid, match="sdk is for programs"):
        Person("ann", Role.SDK)


@pytest.mark.parametrize("name", ["", "Ann", "a b", "-ann", "ann\n", "x" * 101, "änn", "ann;"])
def test_names_that_nobody_could_type_are_refused(name: str) -> None:
    with pytest.raises(Invalid) as refused:
        Person(name, Role.VIEWER)
    assert refused.value.field == "name"


@pytest.mark.parametrize(
    ("password", "why"),
    [("short", "12 to 200"), ("x" * 201, "12 to 200"), ("abababababab", "over and over"), ("ann-ann-1234", "name")],
)
def test_weak_passwords_are_refused_with_the_reason(password: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        check_password(password, "ann@example.com")
    check_password("a horse, a battery", "ann@example.com")
