"""Any JSON, as hypothesis draws it."""

from collections.abc import Sequence

from hypothesis import strategies as st


def json_values(keys: Sequence[str]) -> st.SearchStrategy[object]:
    """Values of every kind; the names in objects are often among `keys`."""
    names = st.sampled_from(keys) | st.text(max_size=2)
    return st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(st.characters(), max_size=3)
        | st.sampled_from(["AAAA", "\ud800"]),  # base64; half of a surrogate pair
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
        max_leaves=12,
    )
