"""The checksum is that of the RFC at every length, and fast enough that no one needs to leave it out."""

import time

import numpy as np

from keras_bert_suite.checkpoints.arrays.crc32c import BYTE_TABLE, CHUNK_WORDS, MULTIPLES, crc32c, mask, unmask


def slow_crc32c(content):
    remainder = 0xFFFFFFFF
    for octet in content:
        remainder = remainder >> 8 ^ BYTE_TABLE[(remainder ^ octet) & 0xFF]
    return remainder ^ 0xFFFFFFFF


def test_checksums():
    """The vectors of RFC 3720 B.4, and every length at which the folding changes its way."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(bytes(range(31, -1, -1))) == 0x113FDB5C
    content = np.random.default_rng(0).integers(0, 256, 540_000, dtype=np.uint8).tobytes()
    words = [multiple[0] for multiple in MULTIPLES] + [CHUNK_WORDS]
    edges = [8 * count + extra for count in (*words, sum(words[::2]), 2 * words[-1]) for extra in (-8, -1, 0, 1, 8)]
    for length in (*range(20), *edges):
        assert crc32c(content[:length]) == slow_crc32c(content[:length]), length


def test_multiples_are_of_the_polynomial():
    """x**a + x**b + ... + 1 leaves no remainder."""
    for multiple in MULTIPLES:
        remainder = 0
        for exponent in range(multiple[0], -1, -1):
            remainder = remainder << 1 | (exponent in multiple)
            if remainder >> 32:
                remainder ^= 0x11EDC6F41
        assert remainder == 0


def test_checksums_are_fast():
    content = np.zeros(50_000_000, np.uint8)
    start = time.perf_counter()
    crc32c(content)
    assert content.size / (time.perf_counter() - start) > 200e6  # bytes a second; 4 GB/s on one core of 2023


def test_a_mask_is_taken_off_again():
    for checksum in (0, 1, 2**15, 2**17 - 1, 0x8A9136AA, 2**32 - 1):
        assert 0 <= mask(checksum) < 2**32
        assert mask(checksum) != checksum
        assert unmask(mask(checksum)) == checksum
