"""Words for people: how a number of bytes, or of things, is said in one line. Knows nothing of terminals."""


def size(count: float) -> str:
    """Return a number of bytes as a person says it: ``0 B``, ``999 B``, ``1.5 KiB``, ``20 GiB``."""
    if count < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        count /= 1024
        if count < 1023.5 or unit == "TiB":
            return f"{count:.1f} {unit}" if count < 9.95 else f"{count:.0f} {unit}"
    raise AssertionError(count)


def count(number: int, one: str, many: str | None = None) -> str:
    """Return ``1 file`` or ``1,234 files``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
