"""Where Chromium is, and a bare page with the painter on it."""

import os
import shutil

from kvmmu_widgets.bundle import script, style

NAMES = ("chromium", "chromium-browser", "google-chrome")

#: a page without notebook: ``kvmmu.mount(element, message)`` is all there is
STEPPER_PAGE = f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>stepper</title>
<style>body {{ margin: 16px; }} {style("stepper")}</style>
<div id="here"></div><div id="there"></div>
<script type="module">{script()}
window.kvmmu = {{ mount, render }};
</script></html>"""


def chromium() -> str | None:
    """Return the path of Chromium: KVMMU_CHROMIUM, or the first one found."""
    found = (shutil.which(name) for name in NAMES)
    return os.environ.get("KVMMU_CHROMIUM") or next(filter(None, found), None)
