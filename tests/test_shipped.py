import pytest

from kvmmu_edu.errors import UsageError
from kvmmu_edu.shipped import is_checkout, shipped


@pytest.fixture
def wheel(tmp_path):
    package = tmp_path / "kvmmu_edu"
    (package / "_shipped" / "notebooks").mkdir(parents=True)
    return package


@pytest.fixture
def checkout(tmp_path):
    package = tmp_path / "kvmmu_edu"
    package.mkdir()
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "assets").mkdir()
    return package


def test_in_a_checkout_they_stand_beside_the_package(checkout, tmp_path):
    assert is_checkout(checkout)
    assert shipped("assets", checkout) == tmp_path / "assets"


def test_in_a_wheel_they_stand_inside(wheel):
    assert not is_checkout(wheel)
    assert shipped("notebooks", wheel) == wheel / "_shipped" / "notebooks"


def test_a_folder_of_that_name_beside_an_installed_package_is_not_ours(wheel, tmp_path):
    (tmp_path / "assets").mkdir()
    with pytest.raises(UsageError, match=r"has no assets; expected them in .*_shipped"):
        shipped("assets", wheel)


def test_this_installation_has_the_table_of_symbols():
    assert (shipped("assets") / "kernel_symbols-6.12.csv").is_file()
