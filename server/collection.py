"""Python's collector of unreachable objects, in a process that serves."""

import gc


def spare_startup() -> None:
    """Have the collector look no more through what exists now and lives as long as the process.

    A full collection would otherwise go through every module and schema, and stop all requests
    for as long: some 60 ms.
    """
    gc.collect()
    gc.freeze()
