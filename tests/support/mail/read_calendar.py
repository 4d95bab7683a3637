"""Reads iCalendar objects with another program's eyes.

In: a JSON list of {"ics": text, "until": ISO time}. Out: a JSON list of what stands in each.
"""
import json
import sys
from datetime import datetime, timezone

import icalendar
import recurring_ical_events


def utc(when):
    return when.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def read(text, until):
    calendar = icalendar.Calendar.from_ical(text)
    (event,) = calendar.walk("VEVENT")
    until = datetime.fromisoformat(until.replace("Z", "+00:00"))
    found = recurring_ical_events.of(calendar).between(event.start.astimezone(timezone.utc), until)
    attendees = event.get("ATTENDEE", [])
    return {
        "errors": [str(error) for error in calendar.errors + event.errors],
        "method": str(calendar["METHOD"]),
        "uid": str(event["UID"]),
        "sequence": int(event["SEQUENCE"]),
        "status": str(event["STATUS"]),
        "summary": str(event["SUMMARY"]),
        "description": str(event["DESCRIPTION"]),
        "organizer": str(event["ORGANIZER"]),
        "organizer_name": str(event["ORGANIZER"].params["CN"]),
        "attendees": [str(one) for one in (attendees if isinstance(attendees, list) else [attendees])],
        "zones": [str(zone["TZID"]) for zone in calendar.walk("VTIMEZONE")],
        "occurrences": sorted([utc(one.start), utc(one.end)] for one in found),
    }


print(json.dumps([read(one["ics"], one["until"]) for one in json.load(sys.stdin)]))
