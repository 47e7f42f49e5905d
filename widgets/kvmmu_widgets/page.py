"""A stepper as a page of its own: one file that asks for nothing from outside.  Ours."""

import json
from collections.abc import Mapping
from html import escape
from typing import Any, Final

from kvmmu_widgets.bundle import script, style

#: the browser refuses whatever is not in the file itself
_POLICY: Final = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'"
_BODY_STYLE: Final = (
    "html{color-scheme:light dark}"
    "body{margin:16px;font:15px/1.5 system-ui,sans-serif}"
    "@media(prefers-color-scheme:dark){body{background:#0e1216;color:#e6e9ed}}"
)


def stepper_page(message: Mapping[str, Any], step: int = 0) -> str:
    """Return an HTML page that shows *message*, at first at *step*.

    Without scripts the page shows the sentences of all steps.
    """
    title = escape(str(message.get("title", "")))
    steps = "".join(f"<li>{escape(step['text'])}</li>" for step in message["steps"])
    start = f"mount(document.getElementById('stepper'), message, {{ step: {int(step)} }});"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_BODY_STYLE}\n{style('stepper')}</style>\n</head>\n"
        '<body>\n<main id="stepper"></main>\n'
        f'<noscript><h1>{title}</h1><ol start="0">{steps}</ol></noscript>\n'
        f'<script type="application/json" id="message">{_json(message)}</script>\n'
        f'<script type="module">\n{script()}\n'
        "const message = JSON.parse(document.getElementById('message').textContent);\n"
        f"{start}\n</script>\n</body>\n</html>\n"
    )


def _json(message: Mapping[str, Any]) -> str:
    """Return JSON that cannot end the element it stands in."""
    return json.dumps(message, separators=(",", ":")).replace("<", "\\u003c")
