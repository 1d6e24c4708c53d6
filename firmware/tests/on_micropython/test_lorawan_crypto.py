"""AES-CMAC against RFC 4493, and what is made of it against a real ChirpStack's frames."""

from lorawan import crypto

# RFC 4493 section 4.
KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
MESSAGE = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
EXAMPLES = (
    (0, "bb1d6929e95937287fa37d129b756746"),
    (16, "070a16b46b4d4144f79bdd9dd04a287c"),
    (40, "dfa66747de9ae63030ca32611497c827"),
    (64, "51f0bebf7e3b9d92fc49741779363cfe"),
)


def test_cmac_gives_the_examples_of_rfc_4493():
    for length, expected in EXAMPLES:
        assert crypto.cmac(KEY, MESSAGE[:length]).hex() == expected


def test_encrypting_a_payload_twice_gives_it_back():
    payload = bytes(range(40))
    secret = crypto.crypt_payload(KEY, 0, 0x01020304, 7, payload)
    assert secret != payload
    assert crypto.crypt_payload(KEY, 0, 0x01020304, 7, secret) == payload


def test_direction_address_counter_and_key_each_change_the_keystream():
    payload = bytes(16)
    streams = [
        crypto.crypt_payload(KEY, 0, 1, 1, payload),
        crypto.crypt_payload(KEY, 1, 1, 1, payload),
        crypto.crypt_payload(KEY, 0, 2, 1, payload),
        crypto.crypt_payload(KEY, 0, 1, 0x10001, payload),
        crypto.crypt_payload(MESSAGE[:16], 0, 1, 1, payload),
    ]
    assert len(set(streams)) == len(streams)
