"""What all commands share: how errors leave, how facts are printed."""

from __future__ import annotations

import functools
import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import click

from ...manifests.errors import CurateError, Interrupted

json_option = click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON.")


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """End a command with a sentence and an exit code instead of a traceback.

    0 done; 1 the data or a check failed; 2 wrong usage or config, nothing was started; 3
    interrupted, resumable.
    """

    @functools.wraps(function)
    def wrapper(*args: Any, **options: Any) -> Any:
        # open_clip and others log through the root logger, which would print over the progress.
        logging.basicConfig(level=logging.ERROR)
        try:
            return function(*args, **options)
        except CurateError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(error.exit_code)
        except OSError as error:
            # No disk, no right, no such folder: a sentence; what was finished is kept.
            where = f"{error.filename}: " if error.filename else ""
            click.echo(f"error: {where}{error.strerror or error}.", err=True)
            sys.exit(CurateError.exit_code)
        except KeyboardInterrupt:
            click.echo("interrupted: run the same command again to go on from here.", err=True)
            sys.exit(Interrupted.exit_code)

    return wrapper


def echo_json(value: Any) -> None:
    """Print a value as JSON, for other programs."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False, default=str))
