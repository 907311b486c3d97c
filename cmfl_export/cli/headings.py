"""A command whose help lists its options under headings."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

_OTHERS = "Options"


class HeadedCommand(TyperCommand):
    """Lists each option under its `rich_help_panel`, and those without one before them, in plain text."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {_OTHERS: []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                heading = getattr(parameter, "rich_help_panel", None) or _OTHERS
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)
