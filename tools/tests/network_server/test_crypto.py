from __future__ import annotations

import pytest

from zaehlwerk_tools.network_server import crypto

KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
MESSAGE = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)


@pytest.mark.parametrize(
    ("length", "tag"), [(0, "bb1d6929"), (16, "070a16b4"), (40, "dfa66747"), (64, "51f0bebf")]
)
def test_cmac_gives_the_tags_of_rfc_4493(length: int, tag: str) -> None:
    """RFC 4493, section 4, truncated as LoRaWAN does."""
    assert crypto.cmac(KEY, MESSAGE[:length]).hex() == tag


# The example in the README of npm's lora-packet (MIT): an uplink of 49be7df1 with FCnt 2 on FPort 1.
PACKET = bytes.fromhex("40f17dbe4900020001954378762b11ff0d")
NWK_S_KEY = bytes.fromhex("44024241ed4ce9a68c6a8bc055233fd3")
APP_S_KEY = bytes.fromhex("ec925802ae430ca77fd3dd73cb2cc588")


def test_a_published_uplink_has_its_mic() -> None:
    assert crypto.data_mic(NWK_S_KEY, crypto.UPLINK, 0x49BE7DF1, 2, PACKET[:-4]) == PACKET[-4:]


def test_a_published_uplink_is_decrypted() -> None:
    assert crypto.crypt_payload(APP_S_KEY, crypto.UPLINK, 0x49BE7DF1, 2, PACKET[9:-4]) == b"test"


def test_the_direction_and_all_32_bits_of_the_counter_are_part_of_the_mic() -> None:
    macs = {
        crypto.data_mic(NWK_S_KEY, direction, 1, f_cnt, b"x")
        for direction in (crypto.UPLINK, crypto.DOWNLINK)
        for f_cnt in (2, 0x10002, 0x1000002)
    }
    assert len(macs) == 6


def test_payloads_longer_than_a_block_go_on_with_the_next() -> None:
    data = bytes(50)
    once = crypto.crypt_payload(APP_S_KEY, crypto.DOWNLINK, 1, 7, data)
    assert crypto.crypt_payload(APP_S_KEY, crypto.DOWNLINK, 1, 7, once) == data
    assert len({once[:16], once[16:32], once[32:48]}) == 3
