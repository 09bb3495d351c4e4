"""Parting what is streamed into lists of a bearable size."""

__all__ = ["chunked"]


def chunked(items, size_of, most_size, most_items=None):
    """Yield consecutive lists of items, each ended by the item with which it is full.

    Args:
        items: iterable.
        size_of: function from an item to its size.
        most_size: int. A list is full when its items together are so large.
        most_items: optional int. Or when it has so many.
    """
    chunk, size = [], 0
    for item in items:
        chunk.append(item)
        size += size_of(item)
        if size >= most_size or len(chunk) == most_items:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
