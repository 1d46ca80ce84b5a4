"""What is shown while a drill runs."""

import io

from rich.console import Console

from failover.control import Phase
from ops.drill.drilling import Live
from ops.drill.steps import Kill, Who
from ops.drill.story import OPEN
from ops.drill.view import drawn, rates, shown
from ops.drill.watch import Sighting
from ops.observation import OpenEntries
from ops.traffic import Attempt
from tests.unit.ops.drill.recorded import order
from tests.unit.ops.drill.test_drilling import active, live, settled
from tests.unit.ops.drill.test_story import EAST, OTHER


def text(seen: Live) -> str:
    console = Console(file=io.StringIO(), width=100, record=True)
    console.print(drawn(seen))
    return console.export_text()


def test_both_regions_stand_side_by_side() -> None:
    seen = live(Kill(Who.TARGET))
    settled(seen, EAST, 3)
    seen.saw(Sighting("dns", "", EAST))
    seen.saw(active(OTHER, 4, Phase.RECOVERING))
    seen.saw(Sighting(OPEN, OTHER, OpenEntries(7, at_least=True, oldest=None)))
    said = text(seen)
    rows = {line.strip("│┃ ").split("│")[0].strip(): line for line in said.splitlines()}
    assert rows["role"].index("standby") < rows["role"].index("active")
    assert "recovering" in rows["phase"]
    assert "4" in rows["epoch"]
    assert rows["ledger"].index("writer") < rows["ledger"].index("copy")
    assert "answers with it" in rows["DNS"]
    assert "at least 7" in said
    assert "epoch 4 is recovering" in said


def test_it_is_drawn_before_anything_is_known() -> None:
    assert "unknown" in text(live(Kill(Who.TARGET)))


def test_attempts_are_counted_by_what_came_of_them() -> None:
    seen = live(Kill(Who.TARGET))
    now = seen.clock()
    for number, status in enumerate((201, 201, 202, 503, None)):
        seen.noticed(order(number), Attempt("/payments", now, 0.1, status))
    seen.noticed(order(9), Attempt("/payments", now - 30.0, 0.1, 201))
    assert rates(seen) == {"posted": 2, "accepted": 1, "failed": 1, "no answer": 1}


def test_without_a_terminal_events_are_lines() -> None:
    seen, said = live(Kill(Who.TARGET)), io.StringIO()
    with shown(seen, Console(file=said)):
        seen.fault = seen.clock()
        seen.tell("fault", "kill [bold]us-east-1", EAST)
    assert "kill [bold]us-east-1" in said.getvalue()
    assert said.getvalue().count("\n") == 1


def test_at_a_terminal_it_is_drawn_while_it_lasts() -> None:
    seen, said = live(Kill(Who.TARGET)), io.StringIO()
    with shown(seen, Console(file=said, force_terminal=True, width=100, height=40)):
        seen.tell("fault", "kill us-east-1", EAST)
    assert "kill us-east-1" in said.getvalue()
