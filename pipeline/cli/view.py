"""`curate view`: a local page to browse, search and label."""

from __future__ import annotations

from pathlib import Path

import click

from .common import echo_json, guarded, json_option


@click.command(name="view")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port [one that is free].")
@click.option("--no-browser", is_flag=True, help="Print the address; open no browser.")
@click.option(
    "--questions",
    type=click.Path(path_type=Path),
    help="File of questions and answers [OUT/questions.jsonl].",
)
@click.option("--oracle", metavar="NAME", help="Who answers, as the file notes it [login name].")
@json_option
@guarded
def command(
    out: Path,
    port: int,
    no_browser: bool,
    questions: Path | None,
    oracle: str | None,
    as_json: bool,
) -> None:
    r"""Open a local page over OUT: browse, filter, search by text or image, and label pairs.

    It listens on 127.0.0.1 only, and answers to whoever has the token in the address that is
    printed. Labels (same, different, can't tell) are appended to a file of questions; see
    `curate ask`. Ctrl-C ends it.

    \b
    Example:
      curate view out
      curate view out --port 8765 --no-browser    # elsewhere: ssh -L 8765:127.0.0.1:8765 HOST
    """
    from ..view import open_page

    page = open_page(out, port, questions, oracle)
    if as_json:
        echo_json({"url": page.server.url, "port": page.server.port, "questions": page.questions})
    else:
        click.echo(page.text)
    if not no_browser:
        page.show()
    page.run()
