"""Dollars while a run goes on."""

from core.errors import BudgetExceeded
from core.schema.job import RunSpec
from core.schema.track import listed_price
from core.train.clock import Clock


class CostMeter:
    """Compile and training time at the track's price of this device."""

    def __init__(self, spec: RunSpec, device_name: str, clock: Clock) -> None:
        self._limit_usd = spec.budget.cost_usd
        self._price = listed_price(spec.prices_usd_per_hour, device_name)
        self._device_name = device_name
        self._clock = clock

    def check(self) -> None:
        """Stop a run that has become too expensive.

        Raises:
            BudgetExceeded: the track bounds dollars, and they are spent, or the device has
                no price.
        """
        if self._limit_usd is None:
            return
        if self._price is None:
            raise BudgetExceeded(
                f"the track bounds the cost at ${self._limit_usd:g} and lists no price for "
                f"{self._device_name!r}"
            )
        seconds = self._clock.seconds["compile"] + self._clock.seconds["train"]
        cost = seconds / 3600 * self._price
        if cost > self._limit_usd:
            raise BudgetExceeded(
                f"compile and training time of {seconds:,.0f} s cost ${cost:.2f} at "
                f"${self._price:g} an hour; the track allows ${self._limit_usd:g}"
            )
