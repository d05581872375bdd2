"""Secrets that have to be told again."""

import pytest

from controller.storage.vault import SecretSealed, Vault, is_sealed

OLD, NEW = "the old key, long enough for a test", "the new key, long enough for a test"


def test_with_a_key_nothing_of_the_secret_is_stored() -> None:
    stored = Vault((OLD,)).seal("slack://token")
    assert is_sealed(stored)
    assert "token" not in stored
    assert Vault((OLD,)).open(stored) == "slack://token"


def test_without_a_key_it_is_stored_in_the_clear_and_says_so() -> None:
    stored = Vault().seal("slack://token")
    assert not is_sealed(stored)
    assert Vault().open(stored) == Vault((OLD,)).open(stored) == "slack://token"


@pytest.mark.parametrize("vault", [Vault(), Vault((NEW,))], ids=["no key", "another key"])
def test_what_cannot_be_opened_names_the_setting(vault: Vault) -> None:
    with pytest.raises(SecretSealed, match="CANARY_SECRET_KEY"):
        vault.open(Vault((OLD,)).seal("secret"))


def test_a_new_key_takes_the_place_of_an_old_one_step_by_step() -> None:
    stored = Vault((OLD,)).seal("secret")
    both = Vault((NEW, OLD))
    assert both.open(stored) == "secret"
    assert not both.is_current(stored)
    assert both.is_current(both.seal("secret"))
    assert Vault((NEW,)).open(both.seal(both.open(stored))) == "secret"


def test_what_was_stored_in_the_clear_is_not_current_once_there_is_a_key() -> None:
    assert not Vault((OLD,)).is_current(Vault().seal("secret"))
    assert Vault().is_current(Vault().seal("secret"))
