"""Made parcels, of which starter/data/ is one draw: `python -m tests.copy.parcels > file`."""

import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

START = datetime(2026, 1, 5, tzinfo=UTC)
DAYS, A_DAY = 240, 16


def table(seed: int = 0) -> pd.DataFrame:
    """Return parcels in time order, with what is known when they are sent, and the hours they took.

    Distances grow slowly; after 150 days a depot opens, and express is no longer as quick.
    """
    random = np.random.default_rng(seed)
    rows = DAYS * A_DAY
    minutes = np.sort(random.integers(0, DAYS * 1_440, rows))
    day = minutes // 1_440
    depot = np.where(
        (day >= 150) & (random.uniform(size=rows) < 0.2),
        "west",
        random.choice(["north", "south", "east"], rows, p=[0.5, 0.3, 0.2]),
    )
    service = np.where(random.uniform(size=rows) < 0.3, "express", "standard")
    kilometres = random.gamma(4, 70 + day / 6).round(1)
    kilograms = random.gamma(2, 2.5, rows).round(1)
    rain = np.where(random.uniform(size=rows) < 0.1, np.nan, random.gamma(0.6, 4, rows)).round(1)
    quick = np.where(service == "express", np.where(day >= 150, 12, 20), 0)
    weekend = 14 * ((START.weekday() + day) % 7 >= 4)
    hours = 30 + kilometres / 20 + np.nan_to_num(rain) + weekend - quick + 8 * (depot == "east")
    hours = (hours + random.normal(0, 7, rows)).clip(4).round(1)
    sent = [f"{START + timedelta(minutes=int(m)):%Y-%m-%dT%H:%M:%SZ}" for m in minutes]
    return pd.DataFrame(
        {
            "sent_at": sent,
            "depot": depot,
            "service": service,
            "kilometres": kilometres,
            "kilograms": kilograms,
            "rain": rain,
            "hours": hours,
        }
    )


if __name__ == "__main__":
    table().to_csv(sys.stdout, index=False)
