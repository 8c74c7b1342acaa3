"""Sizes of memory as people write them."""


def size_bytes(text: str) -> int:
    """A size as Docker writes it, such as `4g`; 0 for none."""
    if not text:
        return 0
    number = text.rstrip("bkmgBKMG")
    unit = text[len(number) :].lower() or "b"
    return int(float(number) * 1024 ** "bkmg".index(unit))
