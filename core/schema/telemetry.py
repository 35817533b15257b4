"""What a worker tells of its device: how it is doing, and how many GPUs there are."""

from pydantic import ConfigDict, Field

from core.schema.base import MAX_COUNT, Message


class Telemetry(Message):
    """What a worker reads of its device; where it has several GPUs, of all that runs may use.

    A server ignores what it does not know, so that a worker may come to tell more.
    """

    model_config = ConfigDict(extra="ignore")

    temperature_celsius: float | None = Field(default=None, ge=-100.0, le=300.0)
    """Temperature of the hottest GPU; None if it cannot be read."""
    memory_used_bytes: int | None = Field(default=None, ge=0, le=MAX_COUNT)
    """Device memory in use, by whatever program; None if it cannot be read."""
    memory_total_bytes: int | None = Field(default=None, ge=0, le=MAX_COUNT)
    """Device memory that there is."""
    driver: str = Field(default="", max_length=80)
    """Version of the GPU's driver; empty for a processor."""


class WorkerPoll(Message):
    """What a worker tells when it asks for a job; a worker that sends none has one GPU.

    A server ignores what it does not know, and one from before this the whole.
    """

    model_config = ConfigDict(extra="ignore")

    num_devices: int = Field(default=1, ge=1, le=1024)
    """GPUs that a run may use at once; 1 for a processor."""
    telemetry: Telemetry | None = None
    """How the device is doing; absent where nothing new was read."""
