"""The checksum of TensorFlow's checkpoints, CRC-32C, and the mask that it is stored under.

Nothing here reads a file.

Source: RFC 3720 B.4, and tensorflow/core/lib/hash/crc32c.h for the mask.
"""

import numpy as np

__all__ = ["crc32c", "mask", "unmask"]

#: The polynomial of CRC-32C, its bits reversed.
POLYNOMIAL = 0x82F63B78

#: Sparse multiples of the polynomial: x**a + x**b + ... + 1, each as (a, b, ..., 0). Squared six
#: times they have the exponents 64a, 64b, ..., so that a word of 8 bytes may be moved to later
#: words by exclusive or alone, which NumPy does to thousands at a time. Found by search among
#: the smallest, for a wide gap between the two highest exponents: that many words move at once.
MULTIPLES = ((5685, 1362, 426, 0), (290, 136, 113, 107, 32, 0))

#: Words that are folded at a time; they and the longest multiple fit a second-level cache.
CHUNK_WORDS = 2**15


def _byte_table():
    table = []
    for octet in range(256):
        for _ in range(8):
            octet = octet >> 1 ^ (POLYNOMIAL if octet & 1 else 0)
        table.append(octet)
    return tuple(table)


BYTE_TABLE = _byte_table()


def crc32c(content):
    """Return the CRC-32C (Castagnoli) of bytes, at several GB a second.

    Python's `zlib.crc32` is of another polynomial. Here the message is folded: words at its
    beginning are moved to later ones that change the remainder alike, until few are left.

    Args:
        content: bytes, or a C-contiguous `(bytes,)` uint8 array.
    Returns:
        int below 2**32.

    Example:
    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    octets = np.frombuffer(content, np.uint8)
    words = octets[: octets.size // 8 * 8].view("<u8")
    held = words[:0]
    remainder = 0xFFFFFFFF  # which the checksum begins with, and which is put into the first word
    if words.size:
        for start in range(0, words.size, CHUNK_WORDS):
            held = np.concatenate([held, words[start : start + CHUNK_WORDS]])
            if start == 0:
                held[0] ^= np.uint64(remainder)
            held = _fold(held, MULTIPLES[0])
        held = _fold(held, MULTIPLES[1])
        remainder = 0
    for octet in held.tobytes() + octets[words.size * 8 :].tobytes():
        remainder = remainder >> 8 ^ BYTE_TABLE[(remainder ^ octet) & 0xFF]
    return remainder ^ 0xFFFFFFFF


def _fold(words, multiple):
    """Fold `(n,)` words, in place, into their last `multiple[0]`, which are returned."""
    shifts = [multiple[0] - exponent for exponent in multiple[1:]]
    surplus = words.size - multiple[0]
    for start in range(0, surplus, shifts[0]):
        stop = min(start + shifts[0], surplus)
        for shift in shifts:
            words[start + shift : stop + shift] ^= words[start:stop]
    return words[max(surplus, 0) :]


def mask(checksum):
    """Disguise a checksum as TensorFlow stores it, so that checksums of checksums stay sound."""
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def unmask(masked):
    """Return the checksum that `mask` disguised."""
    rotated = masked - 0xA282EAD8 & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF
