"""Frames that a device must refuse: genuine ones that were damaged, cut, swapped, repeated, redirected or
forged.

`refusal` is an independent reading of the specification that says why; a mutation that hits a valid frame by
chance is none and is thrown away.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from firmware.tests.oracle import network
from firmware.tests.oracle.network import Accept, Data, Keys

# Why a device refuses a frame, in the order of the questions that it asks.
SHORT = "shorter than a data frame"
KIND = "not a data downlink"
LONG = "longer than the data rate allows"
ADDRESS = "another device's address"
MIC = "MIC or counter"
FOPTS = "FOpts longer than the frame"
PORT_0 = "FOpts together with FPort 0"
NO_ACCEPT = "not a join accept"
ACCEPT_MIC = "join accept: MIC"
NONCE = "join accept: JoinNonce used before"

_MTYPE_AND_MAJOR = 0xE3
# MHDR, FHDR, FPort and MIC around FOpts and FRMPayload.
_AROUND = 13


@dataclass
class Session:
    """What an attacker may know or guess of a device's session. last: the downlink counter taken last."""

    address: int
    keys: Keys
    last: int


@dataclass
class Scene:
    """What is on the air around a device while one window is open.

    following: what its network would send next; taken: downlinks it has taken; accepts: join accepts it has
    taken, the last one at the end; other: another device of the network; before: the device's own session
    before this one; longest: FOpts and FRMPayload of the window's data rate.
    """

    app_key: bytes = field(repr=False)
    session: Session
    other: Session
    before: Session
    following: Data
    accept: Accept
    taken: list[bytes]
    accepts: list[bytes]
    uplink: bytes
    longest: int


def refusal(scene: Scene, phy: bytes) -> str:
    """Why a device that waits for data refuses `phy`; "" if it must not."""
    if len(phy) < 12:
        return SHORT
    session, counter = scene.session, due_counter(scene.session.last, int.from_bytes(phy[6:8], "little"))
    mic = network.data_mic(session.keys.nwk_s_key, network.DOWN, session.address, counter, phy[:-4])
    end = 8 + (phy[5] & 0x0F)
    downlinks = (network.UNCONFIRMED_DOWN << 5, network.CONFIRMED_DOWN << 5)
    questions = (
        (phy[0] & _MTYPE_AND_MAJOR not in downlinks, KIND),
        (len(phy) - _AROUND > scene.longest, LONG),
        (phy[1:5] != session.address.to_bytes(4, "little"), ADDRESS),
        (phy[-4:] != mic, MIC),
        (end > len(phy) - 4, FOPTS),
        (end > 8 and phy[end:-4][:1] == b"\0", PORT_0),
    )
    return next((why for wrong, why in questions if wrong), "")


def due_counter(last: int, lower: int) -> int:
    """The lowest counter above `last` with this lower half (LoRaWAN 1.0.4 section 4.3.1.5)."""
    return last + 1 + (lower - last - 1) % 0x10000


def accept_refusal(scene: Scene, phy: bytes) -> str:
    """Why a device that waits for a join accept refuses `phy`; "" if it must not."""
    if len(phy) not in (17, 33) or phy[0] & _MTYPE_AND_MAJOR != network.JOIN_ACCEPT << 5:
        return NO_ACCEPT
    plain = phy[:1] + network.aes_encrypt(scene.app_key, phy[1:])
    if network.cmac(scene.app_key, plain[:-4]) != plain[-4:]:
        return ACCEPT_MIC
    last = network.aes_encrypt(scene.app_key, scene.accepts[-1][1:])[:3] if scene.accepts else None
    return NONCE if plain[1:4] == last else ""


Mutation = Callable[[Scene, random.Random], bytes]


def _flipped(phy: bytes, dice: random.Random, bits: int) -> bytes:
    damaged = bytearray(phy)
    for bit in dice.sample(range(8 * len(phy)), bits):
        damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def _genuine(scene: Scene) -> bytes:
    return scene.following.phy(scene.session.keys)


def one_bit(scene: Scene, dice: random.Random) -> bytes:
    return _flipped(_genuine(scene), dice, 1)


def many_bits(scene: Scene, dice: random.Random) -> bytes:
    return _flipped(_genuine(scene), dice, dice.randrange(2, 40))


def one_byte_of_the_header(scene: Scene, dice: random.Random) -> bytes:
    phy, at = _genuine(scene), dice.randrange(9)
    return phy[:at] + bytes([phy[at] ^ dice.randrange(1, 256)]) + phy[at + 1 :]


def cut_off(scene: Scene, dice: random.Random) -> bytes:
    phy = _genuine(scene)
    return phy[: dice.randrange(len(phy))]


def beginning_missing(scene: Scene, dice: random.Random) -> bytes:
    phy = _genuine(scene)
    return phy[dice.randrange(1, len(phy)) :]


def something_appended(scene: Scene, dice: random.Random) -> bytes:
    return _genuine(scene) + dice.randbytes(dice.randrange(1, 60))


def something_inserted(scene: Scene, dice: random.Random) -> bytes:
    phy = _genuine(scene)
    at = dice.randrange(len(phy))
    return phy[:at] + dice.randbytes(dice.randrange(1, 20)) + phy[at:]


def something_taken_out(scene: Scene, dice: random.Random) -> bytes:
    phy = _genuine(scene)
    at = dice.randrange(len(phy))
    return phy[:at] + phy[at + dice.randrange(1, 8) :]


def swapped_fields(scene: Scene, dice: random.Random) -> bytes:
    """Two neighbouring fields in each other's place, each field whole or its bytes the other way round."""
    phy = _genuine(scene)
    fields = [phy[:1], phy[1:5], phy[5:6], phy[6:8], phy[8:-4], phy[-4:]]
    at = dice.randrange(5)
    if dice.randrange(2):
        fields[at] = fields[at][::-1]
    fields[at], fields[at + 1] = fields[at + 1], fields[at]
    return b"".join(fields)


def the_content_of_another_frame(scene: Scene, dice: random.Random) -> bytes:
    """Header and MIC of the frame to come around the content of one that was taken, or the other way
    round."""
    mine, old = _genuine(scene), dice.choice(scene.taken)
    return dice.choice([mine[:8] + old[8:-4] + mine[-4:], mine[:-4] + old[-4:], old[:8] + mine[8:]])


def replayed(scene: Scene, dice: random.Random) -> bytes:
    return dice.choice(scene.taken)


def another_devices(scene: Scene, dice: random.Random) -> bytes:
    """A genuine frame of another device, or one that has this one's address or keys."""
    data, mine, other = scene.following, scene.session, scene.other
    return dice.choice(
        [
            replace(data, address=other.address).phy(other.keys),
            replace(data, address=other.address).phy(mine.keys),
            data.phy(other.keys),
        ]
    )


def of_the_session_before(scene: Scene, dice: random.Random) -> bytes:
    data, before = scene.following, scene.before
    return dice.choice([replace(data, address=before.address).phy(before.keys), data.phy(before.keys)])


def in_the_wrong_direction(scene: Scene, dice: random.Random) -> bytes:
    """The device's own uplink, an uplink of the network, or a downlink that was signed as an uplink."""
    data, keys = scene.following, scene.session.keys
    mtype = dice.choice([network.UNCONFIRMED_DOWN, network.CONFIRMED_DOWN])
    return dice.choice([scene.uplink, data.phy(keys, network.UP), data.phy(keys, network.UP, mtype)])


def under_wrong_keys(scene: Scene, dice: random.Random) -> bytes:
    keys, app_key = scene.session.keys, scene.app_key
    wrong = dice.choice(
        [
            Keys(keys.app_s_key, keys.nwk_s_key),
            Keys(app_key, app_key),
            Keys(bytes(16), bytes(16)),
            Keys(keys.nwk_s_key[::-1], keys.app_s_key),
            Keys(dice.randbytes(16), keys.app_s_key),
        ]
    )
    return scene.following.phy(wrong)


def with_another_upper_half_of_the_counter(scene: Scene, dice: random.Random) -> bytes:
    """The lower half is the one that is due; the MIC is made for another upper one."""
    counter = scene.following.counter
    upper = dice.choice([1, 2, 0xFFFF, dice.randrange(1, 0x10000)])
    return replace(scene.following, counter=(counter + (upper << 16)) & 0xFFFFFFFF).phy(scene.session.keys)


def with_halves_exchanged(scene: Scene, dice: random.Random) -> bytes:
    """Signed with the counter's halves in each other's place, sent with either as the lower one."""
    counter = scene.following.counter
    exchanged = (counter >> 16 | counter << 16) & 0xFFFFFFFF
    phy = replace(scene.following, counter=exchanged).phy(scene.session.keys)
    return dice.choice([phy, phy[:6] + (counter & 0xFFFF).to_bytes(2, "little") + phy[8:]])


def with_a_counter_that_was_used(scene: Scene, dice: random.Random) -> bytes:
    """A new frame, rightly signed, with a counter not above the last one."""
    session = scene.session if scene.session.last >= 0 else scene.before
    counter = session.last - dice.randrange(min(session.last + 1, 3))
    return replace(scene.following, address=session.address, counter=counter).phy(session.keys)


def rightly_signed_and_malformed(scene: Scene, dice: random.Random) -> bytes:
    """By somebody who has the keys: FOpts beside FPort 0, FOpts beyond the frame, another major version, too
    long."""
    session, data = scene.session, scene.following
    beside = replace(
        data, fopts=b"\x06" * dice.randrange(1, 15), port=0, payload=dice.randbytes(dice.randrange(9))
    )
    beyond = replace(data, fopts=b"", port=None, payload=b"", control=data.control | dice.randrange(1, 16))
    long = replace(
        data,
        fopts=b"",
        port=dice.randrange(224),
        payload=bytes(min(scene.longest + dice.randrange(1, 9), 242)),
    )
    return dice.choice(
        [
            beside.phy(session.keys),
            beyond.phy(session.keys),
            data.phy(session.keys, major=dice.randrange(1, 4)),
            data.phy(session.keys, mtype=dice.choice([6, 7])),
            long.phy(session.keys),
        ]
    )


def of_a_join(scene: Scene, dice: random.Random) -> bytes:
    """Join accepts and requests, valid ones too, where a data frame is expected."""
    request = bytes(19)
    request += network.cmac(scene.app_key, request)
    return dice.choice([scene.accept.phy(scene.app_key), *scene.accepts, request])


def noise(scene: Scene, dice: random.Random) -> bytes:
    return dice.randbytes(dice.randrange(65))


def accept_with_one_bit(scene: Scene, dice: random.Random) -> bytes:
    return _flipped(scene.accept.phy(scene.app_key), dice, 1)


def accept_with_many_bits(scene: Scene, dice: random.Random) -> bytes:
    return _flipped(scene.accept.phy(scene.app_key), dice, dice.randrange(2, 40))


def accept_of_another_length(scene: Scene, dice: random.Random) -> bytes:
    phy = scene.accept.phy(scene.app_key)
    return dice.choice([phy[: dice.randrange(len(phy))], phy + dice.randbytes(dice.randrange(1, 40))])


def accept_with_swapped_blocks_or_bytes(scene: Scene, dice: random.Random) -> bytes:
    phy = scene.accept.phy(scene.app_key)
    one, two = sorted(dice.sample(range(1, len(phy)), 2))
    swapped = phy[:one] + phy[two : two + 1] + phy[one + 1 : two] + phy[one : one + 1] + phy[two + 1 :]
    return dice.choice([swapped, phy[:1] + phy[17:] + phy[1:17], phy[:1] + phy[:0:-1]])


def accept_with_a_changed_field(scene: Scene, dice: random.Random) -> bytes:
    """Changed in clear and encrypted again, its MIC that of before."""
    plain = bytearray(scene.accept.plain())
    mic = network.cmac(scene.app_key, bytes(plain))
    plain[dice.randrange(1, len(plain))] ^= dice.randrange(1, 256)
    return bytes(plain[:1]) + network.aes_decrypt(scene.app_key, bytes(plain[1:]) + mic)


def accept_under_wrong_keys(scene: Scene, dice: random.Random) -> bytes:
    keys = scene.session.keys
    return scene.accept.phy(dice.choice([keys.nwk_s_key, keys.app_s_key, bytes(16), scene.app_key[::-1]]))


def accept_in_the_wrong_cipher(scene: Scene, dice: random.Random) -> bytes:
    """In clear, or encrypted where the network has to decrypt."""
    plain = scene.accept.plain()
    clear = plain[1:] + network.cmac(scene.app_key, plain)
    return plain[:1] + dice.choice([clear, network.aes_encrypt(scene.app_key, clear)])


def accept_with_the_last_nonce(scene: Scene, dice: random.Random) -> bytes:
    """The last accept played back, or a new one, rightly signed, with its JoinNonce."""
    last = network.aes_encrypt(scene.app_key, scene.accepts[-1][1:])[:3]
    return dice.choice([scene.accepts[-1], replace(scene.accept, join_nonce=last).phy(scene.app_key)])


def data_where_an_accept_is_expected(scene: Scene, dice: random.Random) -> bytes:
    return dice.choice([_genuine(scene), scene.uplink, *scene.taken])


OF_DATA: tuple[Mutation, ...] = (
    one_bit,
    many_bits,
    one_byte_of_the_header,
    cut_off,
    beginning_missing,
    something_appended,
    something_inserted,
    something_taken_out,
    swapped_fields,
    the_content_of_another_frame,
    replayed,
    another_devices,
    of_the_session_before,
    in_the_wrong_direction,
    under_wrong_keys,
    with_another_upper_half_of_the_counter,
    with_halves_exchanged,
    with_a_counter_that_was_used,
    rightly_signed_and_malformed,
    of_a_join,
    noise,
)
OF_ACCEPTS: tuple[Mutation, ...] = (
    accept_with_one_bit,
    accept_with_many_bits,
    accept_of_another_length,
    accept_with_swapped_blocks_or_bytes,
    accept_with_a_changed_field,
    accept_under_wrong_keys,
    accept_in_the_wrong_cipher,
    accept_with_the_last_nonce,
    data_where_an_accept_is_expected,
    noise,
)


def mutants(
    scene: Scene,
    mutations: tuple[Mutation, ...],
    judge: Callable[[Scene, bytes], str],
    dice: random.Random,
) -> Iterator[tuple[Mutation, bytes, str]]:
    """Endlessly: the mutation, the frame, and why a device has to refuse it. Each mutation in turn."""
    while True:
        for mutation in mutations:
            phy = mutation(scene, dice)
            why = judge(scene, phy)
            if why:
                yield mutation, phy, why
