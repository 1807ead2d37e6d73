import json
import math

import pytest

from tuning.watch import BEST, Log, Look, Watch, curve, look_steps, merit, read_log

BASE = Look(0, 2.0, 0.1)


def watching(run, looks, at=(2, 4, 6), patience=2, noise=0.0, done=0):
    """A watch that finds the looks as written down, by step, and saves a file with the step's number."""
    by_step = {look.step: look for look in looks}

    class Now:
        step = 0

    def look(step):
        Now.step = step
        return by_step[step]

    def save(folder):
        (folder / "weights").write_text(str(Now.step))

    return Watch(run, BASE, at, patience, look, save, done, noise)


def go(watch, steps):
    """Steps until the watch says stop; how many were taken."""
    watch.begin(watch._look(0))
    return next((step for step in steps if watch.after_step(step)), steps[-1])


def test_merit_is_the_share_of_loss_gone_plus_f1():
    assert merit(Look(3, 0.5, 0.25), BASE) == 0.75 + 0.25
    assert merit(Look(3, 4.0, None), BASE) == -1.0
    assert merit(Look(3, None, 0.5), Look(0, None, 0.1)) == 0.5
    assert merit(Look(3, math.nan, 0.9), BASE) == -math.inf


@pytest.mark.parametrize(("steps", "looks", "at"), [(10, 2, [5, 10]), (15, 4, [4, 8, 11, 15]), (2, 4, [1, 2])])
def test_looks_are_even_and_the_last_is_at_the_end(steps, looks, at):
    assert look_steps(steps, looks) == at


def test_the_best_look_is_kept_and_training_stops_when_nothing_gets_better(tmp_path):
    looks = [Look(0, 2.0, 0.1), Look(2, 1.0, 0.5), Look(4, 1.2, 0.4), Look(6, 1.3, 0.4)]
    watch = watching(tmp_path, looks)
    assert go(watch, range(1, 9)) == 6
    assert watch.best == looks[1]
    assert (watch.best_folder / "weights").read_text() == "2"
    assert [p.name for p in tmp_path.glob(f"{BEST}-*")] == [f"{BEST}-2"]
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"


def test_within_the_noise_the_later_look_is_served(tmp_path):
    looks = [Look(0, 2.0, 0.1), Look(2, 1.0, 0.5), Look(4, 1.0, 0.45), Look(6, 1.0, 0.2)]
    watch = watching(tmp_path, looks, noise=0.1, patience=9)
    go(watch, range(1, 7))
    assert watch.best == looks[2]
    assert (watch.best_folder / "weights").read_text() == "4"


def test_what_training_begins_with_may_be_the_best(tmp_path):
    watch = watching(tmp_path, [Look(0, 1.0, 0.6), Look(2, 3.0, 0.1), Look(4, 3.0, 0.1)])
    assert go(watch, range(1, 7)) == 4
    assert watch.best.step == 0


def test_with_nothing_held_out_the_last_is_served_and_nothing_stops(tmp_path):
    watch = watching(tmp_path, [Look(n, None, None) for n in (0, 2, 4, 6)], patience=1)
    assert go(watch, range(1, 7)) == 6
    assert watch.best.step == 6


def test_a_run_that_goes_on_forgets_the_looks_that_it_will_take_again(tmp_path):
    looks = [Look(0, 2.0, 0.1), Look(2, 1.0, 0.5), Look(4, 0.5, 0.6), Look(6, 0.4, 0.6)]
    first = watching(tmp_path, looks)
    go(first, range(1, 5))
    again = watching(tmp_path, looks, done=3)
    assert [look.step for look in again.looks] == [0, 2]
    assert again.after_step(4) is False
    assert again.best == looks[2]


def test_the_log_survives_a_line_that_was_cut_off(tmp_path):
    log = Log(tmp_path, 0)
    log.add({"step": 1, "loss": 2.0})
    log.add({"step": 1, "dev_loss": 1.5, "dev_f1": None, "merit": 0.25})
    log.path.write_text(log.path.read_text() + '{"step": 2, "lo')
    assert [row["step"] for row in read_log(tmp_path)] == [1, 1]
    assert curve(tmp_path) == [{"step": 1, "loss": 2.0, "dev_loss": 1.5, "dev_f1": None, "merit": 0.25}]
    assert json.loads(json.dumps(curve(tmp_path))) == curve(tmp_path)
