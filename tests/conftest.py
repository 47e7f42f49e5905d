"""For all tests: what they draw at random is drawn again the same way."""

from hypothesis import settings

# no time limits: machines differ.  Another profile explores: pytest --hypothesis-profile=search
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=1000)
# what takes minutes; tests that do more at night ask for this name
settings.register_profile("nightly", deadline=None, max_examples=1000)
settings.load_profile("same")
