"""``deploykit schema``: print the JSON Schema of a profile."""

from __future__ import annotations

from deploykit.cli.context import Context, verb


@verb("schema")
def command(context: Context) -> None:
    """Print the JSON Schema of a profile, for editors: `deploykit schema > profile.schema.json`."""
    from deploykit.commands.schema import schema_text

    context.result(schema_text().rstrip("\n"))
