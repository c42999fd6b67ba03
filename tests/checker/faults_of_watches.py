"""Faults of the changes that watchers receive; see faults.py."""

from __future__ import annotations

import random

from faults import Place, Unplantable, a_watch, fault, last_of, pick, places, replace
from records import Change, Close, Message, Open, Recording


@fault("content")
def a_watcher_sees_another_cart_than_the_writer(
    recording: Recording, dice: random.Random
) -> None:
    shown = [place for place in places(recording, a_watch(recording)) if place.change.digest]
    place = pick(shown, dice)
    replace(recording, place, [place.change._replace(digest="other")])


@fault("gap")
def a_change_in_the_middle_is_dropped(recording: Recording, dice: random.Random) -> None:
    watch = a_watch(recording)
    found = [place for place in places(recording, watch) if not last_of(recording, place)]
    replace(recording, pick(found, dice), [])


@fault("gap")
def the_first_change_after_a_resume_is_dropped(recording: Recording, dice: random.Random) -> None:
    watch = a_watch(recording)
    opens = [
        number
        for number, record in enumerate(recording.watches[watch])
        if isinstance(record, Open) and record.token
    ]
    after = [next((p for p in places(recording, watch) if p.record > n), None) for n in opens]
    found = [place for place in after if place and not last_of(recording, place)]
    replace(recording, pick(found, dice), [])


@fault("gap")
def a_version_is_conflated_and_not_counted(recording: Recording, dice: random.Random) -> None:
    watch = a_watch(recording, every=False)
    found = [place for place in places(recording, watch) if not last_of(recording, place)]
    replace(recording, pick(found, dice), [])


@fault("gap")
def a_version_is_skipped(recording: Recording, dice: random.Random) -> None:
    place = pick(list(places(recording, a_watch(recording))), dice)
    replace(recording, place, [place.change._replace(version=place.change.version + 1)])


@fault("fold")
def the_last_change_of_a_cart_is_dropped(recording: Recording, dice: random.Random) -> None:
    watch = a_watch(recording)
    found = [place for place in places(recording, watch) if last_of(recording, place)]
    replace(recording, pick(found, dice), [])


@fault("fold")
def a_filtered_watch_is_not_told_that_a_cart_left(
    recording: Recording, dice: random.Random
) -> None:
    watch = a_watch(recording, state="open")
    found = [place for place in leavings(recording, watch) if last_of(recording, place)]
    replace(recording, pick(found, dice), [])


@fault("order")
def two_changes_of_a_cart_are_exchanged(recording: Recording, dice: random.Random) -> None:
    watch = a_watch(recording)
    pairs: list[tuple[Place, Place]] = []
    before: dict[str, Place] = {}
    for place in places(recording, watch):
        other = before.get(place.change.name)
        # On one stream, because an earlier version is allowed after a resume.
        if other and not any(
            isinstance(record, Open)
            for record in recording.watches[watch][other.record : place.record]
        ):
            pairs.append((other, place))
        before[place.change.name] = place
    first, second = pick(pairs, dice)
    replace(recording, first, [second.change])
    replace(recording, second, [first.change])


@fault("order")
def a_change_is_shown_twice_on_a_stream(recording: Recording, dice: random.Random) -> None:
    place = pick(list(places(recording, a_watch(recording))), dice)
    replace(recording, place, [place.change, place.change])


@fault("history")
def a_resumed_watch_begins_anew(recording: Recording, dice: random.Random) -> None:
    records = recording.watches[a_watch(recording)]
    resumed = [
        number
        for number, record in enumerate(records)
        if isinstance(record, Open) and record.token
    ]
    records.insert(pick(resumed, dice) + 1, Message(0.0, "", "begin", "INITIAL", 0, []))


@fault("history")
def the_history_is_said_to_be_gone(recording: Recording, dice: random.Random) -> None:
    records = recording.watches[a_watch(recording)]
    ends = [number for number, record in enumerate(records) if isinstance(record, Close)]
    records[pick(ends, dice)] = Close(0.0, "OUT_OF_RANGE", "RESUME_TOKEN_EXPIRED", "")


@fault("snapshot")
def a_snapshot_after_a_kill_lacks_an_acknowledged_cart(
    recording: Recording, dice: random.Random
) -> None:
    records = recording.watches[a_watch(recording, anew=True)]
    opens = [number for number, record in enumerate(records) if isinstance(record, Open)]
    # The oldest cart of the last complete snapshot was acknowledged long before.
    for opened in reversed(opens):
        ends = [
            number
            for number, record in enumerate(records)
            if number > opened and isinstance(record, Message) and record.signal == "end"
        ]
        if ends:
            break
    else:
        raise Unplantable
    never_deleted = {cart.name for cart in recording.carts if cart.state == "ordered"}
    for number in range(opened, ends[0] + 1):
        record = records[number]
        if isinstance(record, Message):
            kept = [change for change in record.changes if change.name not in never_deleted]
            if len(kept) < len(record.changes):
                records[number] = record._replace(changes=kept)
                return
    raise Unplantable


@fault("snapshot")
def a_snapshot_counts_wrongly(recording: Recording, dice: random.Random) -> None:
    for records in recording.watches.values():
        for number, record in enumerate(records):
            if isinstance(record, Message) and record.signal == "end":
                records[number] = record._replace(total=record.total + 1)
                return
    raise Unplantable


@fault("snapshot")
def a_snapshot_goes_back(recording: Recording, dice: random.Random) -> None:
    """A later snapshot has an older version of a cart than the watch had before."""
    records = recording.watches[a_watch(recording, anew=True)]
    begins = [
        number
        for number, record in enumerate(records)
        if isinstance(record, Message) and record.signal == "begin"
    ]
    for number in reversed(begins[1:]):
        shown = records[number + 1]
        assert isinstance(shown, Message)
        changes = [
            change._replace(version=change.version - 1) if change.version > 1 else change
            for change in shown.changes
        ]
        if changes != shown.changes:
            records[number + 1] = shown._replace(changes=changes)
            return
    raise Unplantable


@fault("gap")
def a_watch_of_names_skips_a_version(recording: Recording, dice: random.Random) -> None:
    watch = a_watch(recording, named=True)
    found = [place for place in places(recording, watch) if not last_of(recording, place)]
    replace(recording, pick(found, dice), [])


@fault("filter")
def a_watch_of_names_is_told_of_another(recording: Recording, dice: random.Random) -> None:
    place = pick(list(places(recording, a_watch(recording, named=True))), dice)
    other = place.change._replace(name="carts/another", version=1)
    replace(recording, place, [place.change, other])


def leavings(recording: Recording, watch: str) -> list[Place]:
    """Returns the changes with which a cart leaves a selection that had its previous version."""
    before: dict[str, Change] = {}
    found = []
    for place in places(recording, watch):
        earlier = before.get(place.change.name)
        if earlier and earlier.kind == "upserted" and place.change.kind == "left":
            if earlier.version == place.change.version - 1:
                found.append(place)
        before[place.change.name] = place.change
    return found


def is_told_later(recording: Recording, place: Place, kind: str) -> bool:
    """Returns whether a later change of a kind has the same cart."""
    return any(
        other.change.name == place.change.name
        and other.change.version > place.change.version
        and other.change.kind == kind
        for other in places(recording, place.watch)
    )


@fault("filter")
def a_cart_that_leaves_and_comes_back_is_not_told_to_leave(
    recording: Recording, dice: random.Random
) -> None:
    left = leavings(recording, a_watch(recording, pieces=8))
    found = [place for place in left if is_told_later(recording, place, "upserted")]
    replace(recording, pick(found, dice), [])


@fault("filter")
def a_cart_that_comes_back_is_not_told_at_first(
    recording: Recording, dice: random.Random
) -> None:
    before: dict[str, str] = {}
    found = []
    for place in places(recording, a_watch(recording, pieces=8)):
        back = before.get(place.change.name) == "left" and place.change.kind == "upserted"
        if back and not last_of(recording, place):
            found.append(place)
        before[place.change.name] = place.change.kind
    replace(recording, pick(found, dice), [])


@fault("filter")
def a_cart_is_told_that_does_not_match(recording: Recording, dice: random.Random) -> None:
    found = [
        place
        for place in places(recording, a_watch(recording, pieces=8))
        if place.change.kind == "left"
    ]
    place = pick(found, dice)
    versions = {
        (other.change.name, other.change.version): other.change
        for other in places(recording, a_watch(recording))
    }
    whole = versions.get((place.change.name, place.change.version))
    if whole is None:
        raise Unplantable
    replace(recording, place, [whole])


@fault("filter")
def a_cart_is_said_to_leave_that_stays(recording: Recording, dice: random.Random) -> None:
    found = [
        place
        for place in places(recording, a_watch(recording, pieces=8))
        if place.change.kind == "upserted" and not last_of(recording, place)
    ]
    place = pick(found, dice)
    left = place.change._replace(kind="left", state="", slot="", pieces=0, digest="")
    replace(recording, place, [left])


@fault("filter")
def a_filtered_watch_skips_a_version_that_matches(
    recording: Recording, dice: random.Random
) -> None:
    whole = places(recording, a_watch(recording))
    known = {(place.change.name, place.change.version) for place in whole}
    before: dict[str, Place] = {}
    found = []
    for place in places(recording, a_watch(recording, state="open")):
        earlier = before.get(place.change.name)
        if earlier and earlier.change.kind == place.change.kind == "upserted":
            # A version that no other watch received may not match.
            if (place.change.name, earlier.change.version) in known:
                found.append(earlier)
        before[place.change.name] = place
    replace(recording, pick(found, dice), [])


@fault("fold")
def the_last_change_of_a_conflated_filter_is_dropped(
    recording: Recording, dice: random.Random
) -> None:
    watch = a_watch(recording, every=False, pieces=8)
    kinds: dict[str, str] = {}
    found = []
    for place in places(recording, watch):
        # An unknown name need not be removed.
        known = kinds.get(place.change.name) == "upserted"
        if last_of(recording, place) and (place.change.kind == "upserted" or known):
            found.append(place)
        kinds[place.change.name] = place.change.kind
    replace(recording, pick(found, dice), [])


@fault("fold")
def an_owner_is_not_told_that_the_cart_was_ordered(
    recording: Recording, dice: random.Random
) -> None:
    left = leavings(recording, a_watch(recording, state="open", slot="till"))
    replace(recording, pick([place for place in left if last_of(recording, place)], dice), [])


@fault("fold")
def a_customer_is_not_told(recording: Recording, dice: random.Random) -> None:
    watch = a_watch(recording, resource="customers")
    replace(recording, pick(list(places(recording, watch)), dice), [])


@fault("history")
def a_watch_ends_without_an_error(recording: Recording, dice: random.Random) -> None:
    records = recording.watches[a_watch(recording)]
    ends = [number for number, record in enumerate(records) if isinstance(record, Close)]
    records[pick(ends, dice)] = Close(0.0, "OK", "", "")


@fault("history")
def a_change_comes_without_a_token(recording: Recording, dice: random.Random) -> None:
    place = pick(list(places(recording, a_watch(recording))), dice)
    records = recording.watches[place.watch]
    message = records[place.record]
    assert isinstance(message, Message)
    records[place.record] = message._replace(token="")
