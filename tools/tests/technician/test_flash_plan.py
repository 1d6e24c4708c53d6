"""What is written, removed and left alone, by hashes alone."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from zaehlwerk_tools.technician.flash_plan import BLOCK, FlashPlan, blocks_needed, plan_flash
from zaehlwerk_tools.technician.manifest import BuiltFile, Manifest

PATHS = ("app/__init__.mpy", "app/node.mpy", "main.py", "radio/__init__.mpy", "radio/below/deep.mpy")
MANIFEST = Manifest(
    "1.0.0", 1, 6, (1, 26), ("ESP32",), "", tuple(BuiltFile(path, 10, f"hash of {path}") for path in PATHS)
)
WHOLE = {"app": "", "radio": "", "radio/below": "", **{path: f"hash of {path}" for path in PATHS}}


def written(plan: FlashPlan) -> list[str]:
    return [file.path for file in plan.write]


def carried_out(plan: FlashPlan, there: dict[str, str]) -> dict[str, str]:
    after = dict(there)
    for path in plan.remove:
        del after[path]
    for folder in plan.folders:
        assert folder not in after
        assert "/" not in folder or folder.rsplit("/", 1)[0] in after
        after[folder] = ""
    for file in plan.write:
        assert "/" not in file.path or file.path.rsplit("/", 1)[0] in after
        after[file.path] = file.sha256
    return after


def test_a_board_that_has_the_build_gets_nothing() -> None:
    plan = plan_flash(MANIFEST, WHOLE)
    assert plan.nothing
    assert plan.kept == len(PATHS)


def test_an_empty_board_gets_everything_and_main_last() -> None:
    plan = plan_flash(MANIFEST, {"boot.py": "-"})
    assert sorted(written(plan)) == sorted(PATHS)
    assert written(plan)[-1] == "main.py"
    assert plan.folders == ("app", "radio", "radio/below")
    assert plan.remove == ()


def test_one_other_file_means_that_file_and_main_which_goes_first_and_comes_last() -> None:
    plan = plan_flash(MANIFEST, {**WHOLE, "app/node.mpy": "other"})
    assert plan.remove == ("main.py",)
    assert written(plan) == ["app/node.mpy", "main.py"]


def test_another_main_alone_is_replaced_in_one_step() -> None:
    plan = plan_flash(MANIFEST, {**WHOLE, "main.py": "other"})
    assert plan.remove == ()
    assert written(plan) == ["main.py"]


def test_what_is_not_the_firmwares_stays_and_what_would_be_loaded_instead_goes() -> None:
    others = {"settings.json": "-", "state": "", "lib": "", "boot.py": "-", "note.py": "-"}
    old = {
        "app/node.py": "x",
        "radio/old.mpy": "x",
        "app.py": "-",
        "main.py.new": "-",
        "app/node.mpy.new": "x",
    }
    plan = plan_flash(MANIFEST, {**WHOLE, **others, **old})
    assert set(plan.remove) == {"main.py", *old}
    assert written(plan) == ["main.py"]


@given(
    st.dictionaries(
        st.sampled_from([*PATHS, "app/extra.py", "app.py", "main.py.new"]), st.sampled_from(["-", "a"])
    ),
    st.integers(0, 20),
)
def test_whatever_the_board_holds_and_wherever_it_is_cut_off_the_end_is_the_build(
    there: dict[str, str], steps: int
) -> None:
    for path in list(there):
        for parent in itertools.accumulate(path.split("/")[:-1], lambda a, b: f"{a}/{b}"):
            there[parent] = ""
    plan = plan_flash(MANIFEST, there)
    begun = FlashPlan(plan.remove[:steps], plan.folders, plan.write[: max(0, steps - len(plan.remove))], 0)
    cut_off = (
        carried_out(begun, there)
        if steps >= len(plan.remove)
        else {path: digest for path, digest in there.items() if path not in plan.remove[:steps]}
    )
    after = carried_out(plan_flash(MANIFEST, cut_off), cut_off)
    assert {path: after[path] for path in after if after[path]} == {path: f"hash of {path}" for path in PATHS}
    assert plan_flash(MANIFEST, after).nothing


def test_main_is_there_only_while_everything_else_is_right() -> None:
    plan = plan_flash(MANIFEST, {**WHOLE, "app/node.mpy": "other", "app/extra.py": "x"})
    board = {**WHOLE, "app/node.mpy": "other", "app/extra.py": "x"}
    for path in plan.remove:
        del board[path]
        assert "main.py" not in board
    for file in plan.write:
        assert "main.py" not in board
        board[file.path] = file.sha256


def test_the_room_that_is_needed_counts_blocks_and_what_goes_first() -> None:
    big = Manifest("1", 1, 6, (1, 26), (), "", (BuiltFile("app/big.mpy", 3 * BLOCK + 1, "h"),))
    plan = plan_flash(big, {"app": "", "app/old.mpy": "x"})
    alone = blocks_needed(plan, {})
    assert alone - blocks_needed(plan, {"app/old.mpy": 2 * BLOCK}) == 2
    assert alone > 4
