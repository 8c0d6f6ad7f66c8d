"""The reducer of signals: what changes, what is late, and what may leave a state that needs a person."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ao.model.lifecycle import MAX_FLIGHTS, reduce
from ao.model.session import Activity, Kind, Phase, Session
from ao.model.signal import Flight, Signal

NOW = 5_000
IDLE = Session(
    id="demo-1",
    project_id="demo",
    num=1,
    kind=Kind.WORKER,
    agent="demo",
    phase=Phase.LIVE,
    activity_at=0,
    first_signal_at=1,
    created_at=0,
    updated_at=0,
)
ACTIVE = replace(IDLE, activity=Activity.ACTIVE)
BLOCKED = replace(IDLE, activity=Activity.BLOCKED)
NONE = Flight()


def after(session: Session, signal: Signal, flight: Flight = NONE) -> Session | None:
    return reduce(session, signal, flight, NOW)[0]


def test_a_prompt_makes_an_idle_agent_active_with_its_time_and_source() -> None:
    changed = after(IDLE, Signal(event="user-prompt-submit", state=Activity.ACTIVE))
    assert changed is not None
    assert (changed.activity, changed.activity_at) == (Activity.ACTIVE, NOW)
    assert changed.activity_source == "hook:user-prompt-submit"


def test_the_same_state_again_changes_nothing() -> None:
    assert after(ACTIVE, Signal(event="user-prompt-submit", state=Activity.ACTIVE)) is None


def test_the_first_signal_is_recorded_even_without_a_change_of_state() -> None:
    changed = after(replace(IDLE, first_signal_at=None), Signal(event="session-start", state=Activity.IDLE))
    assert changed is not None
    assert changed.first_signal_at == NOW


def test_a_terminated_session_ignores_every_signal() -> None:
    for phase in (Phase.ENDING, Phase.ENDED):
        assert after(replace(IDLE, phase=phase), Signal(event="user-prompt-submit", state=Activity.ACTIVE)) is None


def test_a_late_callback_cannot_undo_a_newer_one() -> None:
    newer = after(IDLE, Signal(event="user-prompt-submit", state=Activity.ACTIVE, seq=20, boot_id="b"))
    assert newer is not None
    assert after(newer, Signal(event="stop", state=Activity.IDLE, seq=10, boot_id="b")) is None
    other_boot = after(newer, Signal(event="stop", state=Activity.IDLE, seq=10, boot_id="c"))
    assert other_boot is not None


def test_tool_events_never_leave_waiting_input() -> None:
    waiting = replace(IDLE, activity=Activity.WAITING_INPUT)
    assert after(waiting, Signal(event="post-tool-use", state=Activity.ACTIVE, tool_id="t", tool_name="Bash")) is None


def test_only_the_tool_the_dialog_was_about_ends_a_block() -> None:
    flight = NONE
    session = ACTIVE
    for tool_id, name in (("1", "Read"), ("2", "Bash")):
        start = Signal(event="pre-tool-use", state=Activity.ACTIVE, tool_id=tool_id, tool_name=name)
        _, flight = reduce(session, start, flight, NOW)
    blocked, flight = reduce(
        session, Signal(event="permission-request", state=Activity.BLOCKED, tool_name="Bash"), flight, NOW
    )
    assert blocked is not None
    assert blocked.activity is Activity.BLOCKED
    other = Signal(event="post-tool-use", state=Activity.ACTIVE, tool_id="1", tool_name="Read")
    unchanged, flight = reduce(blocked, other, flight, NOW)
    assert unchanged is None
    own = Signal(event="post-tool-use", state=Activity.ACTIVE, tool_id="2", tool_name="Bash")
    freed, _ = reduce(blocked, own, flight, NOW)
    assert freed is not None
    assert freed.activity is Activity.ACTIVE


def test_a_reminder_of_an_open_dialog_does_not_forget_what_it_is_about() -> None:
    flight = Flight(tools=(("1", "Bash"),))
    asked = Signal(event="permission-request", state=Activity.BLOCKED, tool_name="Bash")
    blocked, flight = reduce(ACTIVE, asked, flight, NOW)
    assert blocked is not None
    _, flight = reduce(blocked, Signal(event="notification", state=Activity.BLOCKED), flight, NOW)
    own = Signal(event="post-tool-use", state=Activity.ACTIVE, tool_id="1", tool_name="Bash")
    freed, _ = reduce(blocked, own, flight, NOW)
    assert freed is not None


def test_two_tools_of_one_name_leave_a_block_only_at_a_turn_boundary() -> None:
    flight = Flight(tools=(("1", "Bash"), ("2", "Bash")))
    blocked, flight = reduce(
        ACTIVE, Signal(event="permission-request", state=Activity.BLOCKED, tool_name="Bash"), flight, NOW
    )
    assert blocked is not None
    assert after(blocked, Signal(event="post-tool-use", state=Activity.ACTIVE, tool_id="1"), flight) is None
    assert after(blocked, Signal(event="stop", state=Activity.IDLE), flight) is not None


def test_the_flight_of_tools_is_bounded_and_fails_closed() -> None:
    flight = NONE
    for number in range(MAX_FLIGHTS + 1):
        signal = Signal(event="pre-tool-use", state=Activity.ACTIVE, tool_id=str(number), tool_name="Read")
        _, flight = reduce(ACTIVE, signal, flight, NOW)
    assert flight == NONE


def test_the_end_of_the_process_keeps_the_session_and_its_exit_code() -> None:
    ended = after(ACTIVE, Signal(event="process-exited", state=Activity.EXITED, exit_code=3))
    assert ended is not None
    assert (ended.activity, ended.exit_code, ended.phase) == (Activity.EXITED, 3, Phase.LIVE)


def test_after_its_end_only_a_new_prompt_revives_an_agent() -> None:
    gone = replace(IDLE, activity=Activity.EXITED)
    assert after(gone, Signal(event="stop", state=Activity.IDLE)) is None
    assert after(gone, Signal(event="user-prompt-submit", state=Activity.ACTIVE)) is not None


def test_a_native_id_is_stored_without_touching_the_activity() -> None:
    changed = after(ACTIVE, Signal(event="session-start", native_id="abc"))
    assert changed is not None
    assert (changed.native_id, changed.activity) == ("abc", Activity.ACTIVE)


EVENTS = ["", "session-start", "user-prompt-submit", "pre-tool-use", "post-tool-use", "permission-request", "stop"]


@given(
    st.lists(
        st.builds(
            Signal,
            event=st.sampled_from(EVENTS),
            state=st.sampled_from([None, *Activity]),
            tool_id=st.sampled_from(["", "1", "2"]),
            tool_name=st.sampled_from(["", "Bash"]),
            seq=st.integers(0, 5),
            boot_id=st.just("b"),
        ),
        max_size=30,
    )
)
def test_no_sequence_of_signals_moves_the_phase_or_lowers_the_sequence(signals: list[Signal]) -> None:
    session, flight = IDLE, NONE
    for signal in signals:
        changed, flight = reduce(session, signal, flight, NOW)
        if changed is not None:
            assert changed.phase is session.phase
            assert changed.hook_seq >= session.hook_seq
            session = changed
        assert len(flight.tools) <= MAX_FLIGHTS
