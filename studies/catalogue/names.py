"""What variants and opponents are called in tables and figures."""

import re

from evaluation.opponents import OPPONENTS

VARIANT_NAMES = {
    "classifier": "transformer",
    "learned": "learned positions",
    "alibi": "ALiBi",
    "none": "no positions",
    "alibi-steep": "ALiBi, slopes x 8",
    "best": "the best recipe",
    "report": "the report's recipe",
}


def name_of(variant: str) -> str:
    """A variant or an opponent in words; one that a person wrote ("dropout=0.2") as it was written."""
    if size := re.fullmatch(r"ff(\d+)", variant):
        return f"hidden size {size[1]}"
    if rate := re.fullmatch(r"(batch-norm-)?dropout-([\d.]+)", variant):
        return f"{'batch norm + ' if rate[1] else ''}dropout {rate[2]}"
    return VARIANT_NAMES.get(variant) or OPPONENTS.get(variant, variant)
