"""Prompts: the text a model reads before a choice, and the text of the choice, from templates with named places.

Values are put in verbatim, once: braces inside a question are text. Chat templates stay out, since they move the scores
of base checkpoints. The default asks for the choice's own words; a small model that is at chance with letters is not
always at chance with words. For letters: `prompt: "{question}\\n{choices}\\nAnswer:"` and `continuation: " {letter}"`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import ValidationInfo, field_validator

from corpus.config import Section, identity
from corpus.errors import did_you_mean, one_of

PLACE = re.compile(r"\{(\w+)\}")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PLACES = {
    "description": (),
    "prompt": ("context", "question", "choices"),
    "continuation": ("choice", "letter"),
    "separator": (),
}


class Prompt(Section):
    """The templates of a task. `{choices}` is one line `A. …` per choice; `{context}` ends in an empty line where there is one."""

    description: str = identity("", absent_means="", description="a sentence before the first example")
    prompt: str = identity(
        "{context}{question}\nAnswer:",
        description="what stands before the choice; {context} and {question} are filled in",
    )
    continuation: str = identity(" {choice}", description="what is scored; {choice} is filled in")
    separator: str = identity("\n\n", absent_means="\n\n", description="between worked examples")

    @field_validator("description", "prompt", "continuation", "separator")
    @classmethod
    def _places(cls, value: str, info: ValidationInfo) -> str:
        return check_template(str(info.field_name), value)

    def prompt_identity(self) -> dict[str, str]:
        """The templates alone, also where a task's section extends this one."""
        return {name: getattr(self, name) for name in PLACES}

    def render_question(self, question: str, choices: tuple[str, ...], context: str) -> str:
        """What stands before the choice."""
        lines = "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))
        values = {"question": question, "choices": lines, "context": f"{context}\n\n" if context else ""}
        return render_template(self.prompt, values)

    def render_choice(self, choices: tuple[str, ...], index: int) -> str:
        """What is scored."""
        return render_template(self.continuation, {"choice": choices[index], "letter": LETTERS[index]})


def check_template(name: str, template: str) -> str:
    """The template as it is; ValueError names a place that does not exist, or the lack of any in a continuation."""
    valid = PLACES[name]
    for place in PLACE.findall(template):
        if place not in valid:
            possible = (
                f"; {name} has {one_of('{' + word + '}' for word in valid)}"
                if valid
                else f"; {name} has no places"
            )
            raise ValueError(f"{name} names the place {{{place}}}{possible}.{did_you_mean(place, valid)}")
    if name == "continuation" and not PLACE.search(template):
        raise ValueError("continuation is the same for every choice; write {choice} or {letter} in it")
    return template


def render_template(template: str, values: Mapping[str, str]) -> str:
    """
    >>> render_template("{question} {x}", {"question": "What is {x}?", "x": "1"})
    'What is {x}? 1'
    """
    return PLACE.sub(lambda match: values[match[1]], template)
