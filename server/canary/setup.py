"""What a result was measured with, as far as it can change under a worker's name."""

from core.schema.result import RunResult


def setup_of(result: RunResult) -> str:
    """Device, driver and PyTorch of a result, for a reader and for comparison."""
    origin = result.provenance
    torch = origin.packages.get("torch", "of unknown version")
    parts = [origin.device, f"driver {origin.driver}" if origin.driver else "", f"PyTorch {torch}"]
    return ", ".join(part for part in parts if part)
