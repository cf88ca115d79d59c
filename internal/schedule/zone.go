package schedule

import (
	"fmt"
	"time"
)

// zoneNamed finds a time zone. The machine's own, "Local", is refused: it differs between workers.
func zoneNamed(name string) (*time.Location, error) {
	if name == "" || name == "UTC" {
		return time.UTC, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, fmt.Errorf("TimeZone %.100q is not a zone of the IANA database: name one such as Europe/Berlin or America/New_York", name)
	}
	return zone, nil
}

// dateIn is the date at t in a zone, as a midnight in UTC: dates are counted there, where every day has 24 hours.
func dateIn(t time.Time, zone *time.Location) time.Time {
	year, month, dayOfMonth := t.In(zone).Date()
	return time.Date(year, month, dayOfMonth, 0, 0, 0, 0, time.UTC)
}

// instant is when a clock in the zone shows a date, as of dateIn, and a time of day. If it shows that twice, because clocks were
// put back, it is the first time; if it never does, because they were put forward, it is when that happened.
func instant(date time.Time, clock time.Duration, zone *time.Location) time.Time {
	wanted := date.Add(clock)
	if zone == time.UTC {
		return wanted
	}
	year, month, dayOfMonth := wanted.Date()
	hour, minute, _ := wanted.Clock()
	t := time.Date(year, month, dayOfMonth, hour, minute, 0, 0, zone)
	starts, ends := t.ZoneBounds()
	switch shown := shownBy(t); {
	case shown.After(wanted): // in the gap, by the offset before it
		return starts.UTC()
	case shown.Before(wanted): // in the gap, by the offset after it
		return ends.UTC()
	}
	if !starts.IsZero() {
		_, before := starts.Add(-time.Second).Zone()
		_, now := t.Zone()
		if first := t.Add(time.Duration(now-before) * time.Second); first.Before(starts) {
			t = first
		}
	}
	return t.UTC()
}

// shownBy is what a clock shows at t, as if that were UTC.
func shownBy(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}
