package schedule

import (
	"fmt"
	"time"
)

// zoneNamed returns a time zone. It refuses "Local", the machine's own zone, because that differs
// between workers.
func zoneNamed(name string) (*time.Location, error) {
	if name == "" || name == "UTC" {
		return time.UTC, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, fmt.Errorf("TimeZone %.100q is not in the IANA database: use a name such as Europe/Berlin or America/New_York", name)
	}
	return zone, nil
}

// dateIn returns the date at t in a zone as midnight UTC. Dates are counted in UTC, where every day
// has 24 hours.
func dateIn(t time.Time, zone *time.Location) time.Time {
	year, month, dayOfMonth := t.In(zone).Date()
	return time.Date(year, month, dayOfMonth, 0, 0, 0, 0, time.UTC)
}

// instant returns when a clock in the zone shows the given date (from dateIn) and time of day. If
// it does so twice, because clocks are put back, the result is the first time. If it never does,
// because they are put forward, the result is the moment of the change.
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

// shownBy returns the wall-clock time at t, written as UTC.
func shownBy(t time.Time) time.Time {
	_, offset := t.Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}
