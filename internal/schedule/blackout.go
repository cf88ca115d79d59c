package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	week       = 7 * day
	maxEntries = 100 // of a blackout
	maxDates   = 366 * day
)

// span is one entry of a blackout: dates, or a part of every week.
type span struct {
	weekly bool
	// from and to are instants. Those of a weekly span are wall-clock times, written as UTC, in the
	// week that begins on Sunday, 4 January 1970; to may be in the week after it.
	from, to time.Time
}

// firstSunday is the first day of the week in which weekly spans are kept.
var firstSunday = time.Date(1970, time.January, 4, 0, 0, 0, 0, time.UTC)

// parseBlackout parses the entries of a blackout, and checks that they leave some of every week
// free.
func parseBlackout(entries []string, zone *time.Location) ([]span, error) {
	if len(entries) > maxEntries {
		return nil, fmt.Errorf("Blackout has %d entries, but at most %d are allowed", len(entries), maxEntries)
	}
	spans := make([]span, 0, len(entries))
	for i, text := range entries {
		s, err := parseSpan(text, zone)
		if err != nil {
			return nil, fmt.Errorf("Blackout[%d] %.100q: %w", i, text, err)
		}
		spans = append(spans, s)
	}
	starts := []time.Time{firstSunday}
	for _, s := range spans {
		if s.weekly {
			starts = append(starts, s.to)
		}
	}
	for _, at := range starts {
		if !coveredWeekly(spans, at, at.Add(minFree)) {
			return spans, nil
		}
	}
	return nil, errors.New("Blackout: the weekly entries leave no full hour of the week, so no rotation would ever start")
}

// minFree is how much of the week must remain free.
const minFree = time.Hour

// coveredWeekly reports whether a weekly span overlaps [from, to), which begins in the first week
// or the one after it.
func coveredWeekly(spans []span, from, to time.Time) bool {
	for _, s := range spans {
		for _, shift := range []time.Duration{-week, 0, week} {
			if s.weekly && s.from.Add(shift).Before(to) && from.Before(s.to.Add(shift)) {
				return true
			}
		}
	}
	return false
}

var errSpan = errors.New("write a date (2026-12-25), dates (2026-12-24/2027-01-02, both included) " +
	"or a part of the week (Fri 16:00 - Mon 08:00)")

// parseSpan parses one entry: "2026-12-25"; "2026-12-24/2027-01-02", an ISO 8601 interval of dates
// that includes both; or "Fri 16:00 - Mon 08:00" for every week.
func parseSpan(text string, zone *time.Location) (span, error) {
	if from, to, found := strings.Cut(text, " - "); found {
		return parseWeekly(from, to)
	}
	from, to, found := strings.Cut(text, "/")
	if !found {
		to = from
	}
	first, err := time.Parse(time.DateOnly, from)
	if err != nil {
		return span{}, errSpan
	}
	last, err := time.Parse(time.DateOnly, to)
	if err != nil {
		return span{}, errSpan
	}
	if last.Before(first) {
		return span{}, errors.New("it ends before it begins")
	}
	if last.Sub(first) > maxDates {
		return span{}, errors.New("it is longer than a year: pause the rotation instead")
	}
	return span{from: instant(first, 0, zone), to: instant(last.AddDate(0, 0, 1), 0, zone)}, nil
}

func parseWeekly(from, to string) (span, error) {
	first, ok := parseWeekTime(from)
	last, ok2 := parseWeekTime(to)
	if !ok || !ok2 {
		return span{}, errSpan
	}
	if !last.After(first) {
		last = last.Add(week)
	}
	if last.Sub(first) >= week {
		return span{}, errors.New("it is the whole week, so no rotation would ever start")
	}
	return span{weekly: true, from: first, to: last}, nil
}

// parseWeekTime parses a time of the week, such as "Fri 16:00". "Sun 24:00" is the end of Sunday.
func parseWeekTime(text string) (time.Time, bool) {
	name, clock, found := strings.Cut(text, " ")
	weekday, named := dayOfWeekField.named(name)
	if !found || !named {
		return time.Time{}, false
	}
	date := firstSunday.Add(time.Duration(weekday-1) * day)
	if clock == "24:00" {
		return date.Add(day), true
	}
	t, err := time.Parse("15:04", clock)
	if err != nil || len(clock) != len("15:04") {
		return time.Time{}, false
	}
	return date.Add(time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute), true
}

// Free returns the first time at or after t that is in no blackout.
func (s *Schedule) Free(t time.Time) time.Time {
	for {
		end := t
		for _, span := range s.blackout {
			if from, to := span.around(t, s.zone); !t.Before(from) && t.Before(to) && to.After(end) {
				end = to
			}
		}
		if end.Equal(t) {
			return t
		}
		t = end
	}
}

// busy returns when the first blackout after t begins, or until if none begins before that. t must
// be in no blackout.
func (s *Schedule) busy(t, until time.Time) time.Time {
	for _, span := range s.blackout {
		from, _ := span.around(t, s.zone)
		if from.Before(t) { // the one of this week has passed
			from, _ = span.around(t.Add(week), s.zone)
		}
		if !from.Before(t) && from.Before(until) {
			until = from
		}
	}
	return until
}

// around returns when the span begins and ends. For a weekly span, this is the last occurrence that
// begins at or before t.
func (s span) around(t time.Time, zone *time.Location) (from, to time.Time) {
	if !s.weekly {
		return s.from, s.to
	}
	for shift := dateIn(t, zone).Sub(firstSunday).Truncate(week); ; shift -= week {
		if from = instant(s.from.Add(shift), 0, zone); !from.After(t) {
			return from, instant(s.to.Add(shift), 0, zone)
		}
	}
}
