"""What the reference needs beyond docstrings as they stand: declared parameters, and examples as code blocks."""

from __future__ import annotations

import ast
import re
from typing import Any

import griffe

# A run of lines that starts at a prompt and ends at an empty line.
_EXAMPLE = re.compile(r"^>>> .*(?:\n(?!\s*$).*)*", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Fences examples, because to Markdown a prompt is a quotation, and describes fields made by `param`."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one object; called by mkdocstrings."""
        if obj.docstring is not None:
            obj.docstring.value = _EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", obj.docstring.value)
        elif isinstance(obj, griffe.Attribute) and str(obj.value).startswith(("param(", "per_particle(")):
            obj.docstring = griffe.Docstring(_described(str(obj.value)), parent=obj)


def _described(declaration: str) -> str:
    """Return the meaning, unit and range of a field from the call of `param` that declares it."""
    call = ast.parse(declaration, mode="eval").body
    assert isinstance(call, ast.Call)
    words = {name: ast.unparse(word) for name, word in zip(("unit", "low", "high"), call.args, strict=False)}
    words |= {str(word.arg): ast.unparse(word.value) for word in call.keywords}
    meaning = ast.literal_eval(words["doc"]) if "doc" in words else "a parameter"
    unit = ast.literal_eval(words["unit"])
    left, right = ("(", ")") if words.get("exclusive") == "True" else ("[", "]")
    low, high = words.get("low"), words.get("high")
    interval = f"{left if low else '('}{low or '-inf'}, {high or 'inf'}{right if high else ')'}"
    text = f"{meaning[0].upper()}{meaning[1:]}; {'dimensionless' if unit == '1' else unit}, in `{interval}`"
    return text + (f", shape `{words['dims']}`".replace("'", "") if "dims" in words else "") + "."
