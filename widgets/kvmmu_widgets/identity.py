"""Ids of widgets that are the same whenever the same notebook runs.

A widget's id is random by default, so a notebook would differ after each run, and a notebook
that is saved without its widgets' state could no longer find the state that it came with.
Here an id follows from what the widget shows and from how many such widgets were made before
it in this kernel.  Ours.
"""

import hashlib
import json
from collections import Counter
from typing import Any

from ipywidgets import Layout

_made: Counter[str] = Counter()


def stable_id(kind: str, shown: object) -> str:
    """Return an id for the next widget of *kind* that shows *shown*, anything JSON can say."""
    text = json.dumps([kind, shown], sort_keys=True, default=str, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    _made[digest] += 1
    return hashlib.sha256(f"{digest} {_made[digest]}".encode()).hexdigest()[:32]


def identity(kind: str, shown: object) -> dict[str, object]:
    """Return the arguments that give a widget, and the layout inside it, stable ids."""
    model_id = stable_id(kind, shown)
    return {"model_id": model_id, "layout": Layout(model_id=stable_id("layout", model_id))}


def steady(widget: type[Any], **traits: Any) -> Any:
    """Return a widget of ipywidgets with stable ids, its layout and style included.

    :param widget: its class
    :param traits: what it is made with; ``style`` as a dict
    """
    style = traits.pop("style", {})
    named = identity(widget.__name__, [traits.get("description", ""), style])
    if widget.class_trait_names().count("style"):
        kind = widget.class_traits()["style"].klass
        named["style"] = kind(model_id=stable_id("style", named["model_id"]), **style)
    return widget(**traits, **named)
