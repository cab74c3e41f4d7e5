"""What variants and opponents are called where they are shown, and the colour that each variant has in every figure."""

import utilities
from evaluation.opponents import OPPONENTS
from studies.catalogue.questions import RATES, STEEP

VARIANT_NAMES = {
    "classifier": "transformer",
    "learned": "learned positions",
    "alibi": "ALiBi",
    "none": "no positions",
    STEEP: "ALiBi, slopes x 8",
    "ff256": "hidden size 256",
    "ff100": "hidden size 100",
    "best": "the best recipe",
    "report": "the report's recipe",
    **{f"dropout-{rate}": f"dropout {rate}" for rate in RATES},
    **{f"batch-norm-dropout-{rate}": f"batch norm + dropout {rate}" for rate in RATES},
}

_RATE_COLORS = list(zip(RATES, (utilities.ORANGE, utilities.SKY, utilities.PURPLE, utilities.BLACK)))
VARIANT_COLORS = {  # learned positions and the original classifier are the same model
    "learned": utilities.BLUE,
    "original": utilities.BLUE,
    "alibi": utilities.VERMILION,
    "none": utilities.GREEN,
    STEEP: utilities.PURPLE,
    **{f"dropout-{rate}": color for rate, color in _RATE_COLORS},
    **{f"batch-norm-dropout-{rate}": color for rate, color in _RATE_COLORS},
}


def name_of(variant: str) -> str:
    """What a variant or an opponent is called in tables and figures: by its name here, or as the question calls it."""
    return VARIANT_NAMES.get(variant) or OPPONENTS.get(variant, variant)
