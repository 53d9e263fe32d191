"""Who waits for an order is told what became of it, and waits no longer than was agreed."""

from threading import Event as Flag
from threading import Thread
from time import monotonic
from types import SimpleNamespace

import pytest

from pytrader import answers, outcomes
from pytrader.events import Event
from pytrader.lines import Market
from pytrader.outcomes import Outcomes, ending, is_over, is_settled


def event(seq, kind, order=None, **facts):
    return Event(seq, seq, seq, kind, facts if order is None else {"order": order, **facts})


def taken(*events):
    """Return outcomes that were told `events`."""
    kept = Outcomes()
    for one in events:
        kept.take(one)
    return kept


ACCEPTED, RELEASED = event(1, "accepted", 1), event(2, "released", 1)
PARTIAL, DONE = event(3, "filled", 1, done=False), event(4, "filled", 1, done=True)
RESTING, ENDED = event(3, "resting", 1), event(4, "ended", 1, state="canceled")


def test_an_order_is_over_when_filled_or_ended_and_settled_also_at_rest():
    assert not is_over([])
    assert not is_over([ACCEPTED, RELEASED, PARTIAL])
    assert is_over([ACCEPTED, DONE])
    assert is_over([ACCEPTED, ENDED])
    assert not is_over([ACCEPTED, RESTING])
    assert is_settled([ACCEPTED, RESTING])
    assert is_settled([ACCEPTED, RESTING, PARTIAL])


def test_a_stray_fill_after_the_end_reopens_nothing():
    stray = event(5, "stray", 1, cause="FILL_AFTER_END")
    for end in (DONE, ENDED):
        kept = taken(ACCEPTED, end, stray)
        assert ending(kept.of(1)) == end
        assert kept.of(1)[-1] == stray
        assert kept.wait_quiet(0)


def test_a_fill_of_somebody_elses_order_is_told_to_nobody_who_waits_for_ours():
    """Its number may be given to an order of ours later."""
    kept = taken(event(1, "stray", 9, cause="FOREIGN_FILL"), event(2, "accepted", 9))
    assert [one.kind for one in kept.of(9)] == ["accepted"]


UNKNOWN = event(3, "unknown", 1, side="buy", quantity="1")
STRAY = event(9, "stray", 1, side="buy", quantity="1", cost="5", cause="FILL_AFTER_END")
CANCELED = event(4, "ended", 1, side="buy", quantity="1", filled="0", state="canceled", reason="USER")


@pytest.mark.parametrize(
    ("events", "state", "code"),
    [
        ([RELEASED], "pending", answers.ERROR),
        ([UNKNOWN], "unknown", answers.ERROR),
        ([event(3, "resting", 1, side="buy", quantity="1", limit="5")], "resting", answers.OK),
        ([CANCELED, STRAY], "canceled", answers.OK),
    ],
)
def test_an_order_is_answered_by_its_own_end_and_not_by_what_came_astray(events, state, code):
    asked = {"order": SimpleNamespace(client_id=None), "verdict": SimpleNamespace(codes=[])}
    ticket = SimpleNamespace(**asked, accepted=True, order_id=1, wait=lambda: [RELEASED, *events])
    said = answers.outcome(ticket, Market("BTC", "USDT", "0.01"))
    assert (said.data["state"], said.code) == (state, code)
    assert said.data.get("reason") == ("USER" if state == "canceled" else None)
    assert ("not known yet" in said.text) == (code == answers.ERROR)


def test_an_order_without_an_answer_is_not_settled():
    kept = taken(ACCEPTED, RELEASED, event(3, "unknown", 1))
    assert not is_settled(kept.of(1))
    assert not kept.wait_quiet(0)


def test_waiting_ends_with_the_event_that_was_waited_for():
    """The waiter sleeps until another thread brings the event, and gets everything known by then."""
    kept = taken(ACCEPTED, RELEASED)
    waits, got = Flag(), []

    def wait():
        def until(events):
            waits.set()
            return is_over(events)

        got.extend(kept.wait(1, until, 30))

    waiter = Thread(target=wait)
    waiter.start()
    assert waits.wait(5)
    kept.take(DONE)
    waiter.join(5)
    assert got == [ACCEPTED, RELEASED, DONE]


def test_waiting_is_bounded_and_returns_what_is_known():
    began = monotonic()
    assert taken(ACCEPTED).wait(1, is_over, 0.05) == [ACCEPTED]
    assert taken().wait(7, is_over, 0) == []
    assert 0.05 <= monotonic() - began < 2


def test_events_given_out_are_a_copy():
    kept = taken(ACCEPTED)
    kept.of(1).clear()
    assert kept.of(1) == [ACCEPTED]


def test_refusal_is_found_by_its_number_once_it_is_durable():
    """A number that is durable and no refusal gives nothing, as does one that never comes."""
    refused = event(5, "refused", sentence="no")
    kept = taken(event(4, "marked"), refused)
    assert kept.refusal(5, 0) == refused
    assert kept.refusal(4, 0) is None
    assert kept.refusal(6, 0.01) is None
    assert kept.refusal(0, 0) is None


def test_refusal_that_halts_is_found_by_the_last_event_of_its_decision():
    """Behind it come the halt and the cancel requests; a later refusal is not taken for it."""
    first, refused, later = (event(seq, "refused", sentence=str(seq)) for seq in (3, 5, 9))
    kept = taken(first, event(4, "marked"), refused, event(6, "halted"), event(7, "cancel_requested", 1), later)
    assert kept.refusal(7, 0) == refused
    assert kept.refusal(9, 0) == later


def test_quiet_means_that_nothing_is_in_flight():
    """Resting orders are not in flight, nor is one that filled in part at rest."""
    assert taken().wait_quiet(0)
    assert not taken(ACCEPTED).wait_quiet(0)
    assert not taken(ACCEPTED, RELEASED, PARTIAL).wait_quiet(0)
    assert taken(ACCEPTED, RESTING).wait_quiet(0)
    assert taken(ACCEPTED, RESTING, event(5, "filled", 1, done=False)).wait_quiet(0)
    assert taken(ACCEPTED, DONE).wait_quiet(0)


def test_an_accepted_order_is_in_flight_before_its_first_event_is_durable():
    kept = Outcomes()
    kept.expect(1)
    assert not kept.wait_quiet(0)
    kept.take(ACCEPTED)
    kept.take(DONE)
    assert kept.wait_quiet(0)
    kept.expect(1)
    assert kept.wait_quiet(0)


def test_nobody_waits_for_the_resting_orders_of_an_earlier_run():
    """They fill in part and are asked to end without ever having been accepted in this run."""
    assert taken(event(9, "filled", 3, done=False)).wait_quiet(0)
    assert taken(event(9, "cancel_requested", 3)).wait_quiet(0)


def test_only_the_newest_orders_are_kept(monkeypatch):
    """The oldest is forgotten first; what was in flight ends all the same."""
    monkeypatch.setattr(outcomes, "KEPT", 3)
    kept = taken(*(event(number, "accepted", number) for number in range(1, 6)))
    assert [bool(kept.of(number)) for number in range(1, 6)] == [False, False, True, True, True]
    for number in range(1, 6):
        kept.take(event(10 + number, "ended", number))
    assert kept.wait_quiet(0)
