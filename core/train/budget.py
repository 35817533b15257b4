"""Dollars while a run goes on."""

from core.errors import BudgetExceeded, InvalidInput
from core.schema.job import RunSpec
from core.schema.problem import Problem
from core.schema.track import listed_price
from core.train.clock import Clock
from core.train.pace import DollarPace, FixedPace, Pace


def build_pace(spec: RunSpec, device_name: str, clock: Clock, num_devices: int = 1) -> Pace:
    """The pace of a run's own budget; one in dollars ends where the track's does, if sooner.

    Raises:
        InvalidInput: the budget is in dollars, and the device has no price.
    """
    training = spec.experiment.training
    if not training.dollars:
        return FixedPace(training)
    price = listed_price(spec.prices_usd_per_hour, device_name)
    if price is None:
        message = (
            f"the track {spec.track} lists no price for {device_name!r}, so dollars cannot be "
            f"counted on it; it lists {', '.join(spec.prices_usd_per_hour) or 'none'}."
        )
        raise InvalidInput([Problem(path="training.dollars", message=message)])
    bounds = (training.dollars, spec.budget.cost_usd)
    dollars = min(bound for bound in bounds if bound is not None)
    return DollarPace(training, dollars, price * num_devices, clock)


class CostMeter:
    """Compile and training time at the track's price of this device."""

    def __init__(self, spec: RunSpec, device_name: str, clock: Clock, num_devices: int = 1) -> None:
        # A budget in dollars keeps to the track's by its pace, to within a step.
        in_dollars = spec.experiment.training.dollars > 0
        self._limit_usd = None if in_dollars else spec.budget.cost_usd
        self._price = listed_price(spec.prices_usd_per_hour, device_name)
        self._device_name = device_name
        self._num_devices = num_devices
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
        cost = seconds / 3600 * self._price * self._num_devices
        if cost > self._limit_usd:
            devices = f" for each of {self._num_devices}" if self._num_devices > 1 else ""
            raise BudgetExceeded(
                f"compile and training time of {seconds:,.0f} s cost ${cost:.2f} at "
                f"${self._price:g} an hour{devices}; the track allows ${self._limit_usd:g}"
            )
