"""Frames of one clip resemble one another: they belong on one side of every fold."""

from typing import Any

from kit.folds import GROUPING


def clip_problems(options: dict[str, Any], scheme: str) -> list[str]:
    """What is wrong where an adapter's options name clips and a fold scheme would cut through them."""
    if not options.get("clips") or scheme in (*GROUPING, "given"):
        return []
    return [
        f'input.clips: frames of a clip belong into one fold, and score.folds.scheme = "{scheme}" does not look at clips\n'
        f"name one that does: {' or '.join(GROUPING)}, or given where the host names the validation clips"
    ]
