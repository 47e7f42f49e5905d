"""What the shadow MMU keeps: hash and lists agree."""

import pytest

from kvmmu_edu.errors import InvariantError
from kvmmu_edu.x86.shadow_state import ShadowPage, ShadowPages


@pytest.fixture
def shadow():
    made = ShadowPages()
    made.pages[3] = ShadowPage(0)
    made.hash[7] = [3]
    made.active_mmu_pages[3] = None
    made.check()
    return made


def test_a_page_that_is_not_in_the_hash_is_found(shadow):
    shadow.hash.clear()
    with pytest.raises(InvariantError, match=r"the hash has shadow pages \[\], but \[3\] exist"):
        shadow.check()


def test_a_list_of_what_does_not_exist_is_found(shadow):
    shadow.active_mmu_pages[4] = None
    with pytest.raises(InvariantError, match="lists a shadow page that does not exist"):
        shadow.check()


def test_pages_that_were_zapped_must_be_freed(shadow):
    shadow.zapped_obsolete_pages.append(3)
    with pytest.raises(InvariantError, match=r"\[3\] were zapped but never freed"):
        shadow.check()
