package schedule

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
	"time"
)

// cron is a cron expression as Secrets Manager defines it. The package parses it itself because no
// library supports the dialect: days of the week count from 1, # and L are allowed, one of two
// fields must be ?, and windows open only on the hour.
//
// If a release computes other dates than the previous one, sleeping runs still replay. Each got its
// date from the run before it, and Temporal matches timers by id, not by length. Only a first run
// that does not rotate at once computes its own date, which it uses when it wakes.
//
// Sets are bit masks, in which bit n stands for the value n.
type cron struct {
	hours  uint32
	months uint32

	// Days of the month, 1 to 31.
	days     uint32
	weekdays uint32 // "15W": the weekday nearest to the day, in the same month
	lastDay  bool   // "L"

	// Days of the week, 1 is Sunday.
	daysOfWeek     uint32
	nthDaysOfWeek  [5]uint32 // "TUE#3" is in nthDaysOfWeek[2]
	lastDaysOfWeek uint32    // "SUNL"
}

// cycleYears is the period after which the days on which windows open repeat, except around a
// century that is not a leap year.
const cycleYears = 28

// yearApart is the longest time allowed between two openings. The same weekday of a month may be up
// to 371 days after the year before's; an expression that skips a whole year is far beyond this.
const yearApart = 400 * day

// field describes one field of a cron expression.
type field struct {
	name     string
	min, max int
	names    string // three-letter names of the values, beginning with min
}

var (
	hoursField      = field{name: "Hours", min: 0, max: 23}
	dayOfMonthField = field{name: "Day-of-month", min: 1, max: 31}
	monthField      = field{name: "Month", min: 1, max: 12, names: "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"}
	dayOfWeekField  = field{name: "Day-of-week", min: 1, max: 7, names: "SUNMONTUEWEDTHUFRISAT"}
)

func parseCron(text string) (*cron, error) {
	fields := strings.Fields(text)
	if len(fields) != 6 {
		return nil, fmt.Errorf("cron has six fields (Minutes Hours Day-of-month Month Day-of-week Year), not %d", len(fields))
	}
	if fields[0] != "0" {
		return nil, fmt.Errorf("the field Minutes is %q: it must be 0, because rotation windows open on the hour", fields[0])
	}
	if fields[5] != "*" {
		return nil, fmt.Errorf("the field Year is %q: it must be *", fields[5])
	}
	if (fields[2] == "?") == (fields[4] == "?") {
		return nil, errors.New("exactly one of Day-of-month and Day-of-week must be ?")
	}
	var c cron
	var err error
	if c.hours, err = hoursField.set(fields[1]); err != nil {
		return nil, err
	}
	if c.months, err = monthField.set(fields[3]); err != nil {
		return nil, err
	}
	if fields[2] != "?" {
		err = c.parseDaysOfMonth(fields[2])
	} else {
		err = c.parseDaysOfWeek(fields[4])
	}
	if err != nil {
		return nil, err
	}
	return &c, nil
}

func (c *cron) parseDaysOfMonth(text string) error {
	for item := range strings.SplitSeq(text, ",") {
		if item == "L" {
			c.lastDay = true
			continue
		}
		// The User Guide uses SUNL, the last Sunday of the month, in this field.
		if name, found := strings.CutSuffix(item, "L"); found {
			n, ok := dayOfWeekField.named(name)
			if !ok {
				return dayOfMonthField.refuse(item)
			}
			c.lastDaysOfWeek |= 1 << n
			continue
		}
		if digits, found := strings.CutSuffix(item, "W"); found {
			n, ok := dayOfMonthField.value(digits)
			if !ok {
				return dayOfMonthField.refuse(item)
			}
			c.weekdays |= 1 << n
			continue
		}
		set, err := dayOfMonthField.item(item)
		if err != nil {
			return err
		}
		c.days |= set
	}
	return nil
}

func (c *cron) parseDaysOfWeek(text string) error {
	for item := range strings.SplitSeq(text, ",") {
		if item == "L" { // the last day of the week
			c.daysOfWeek |= 1 << dayOfWeekField.max
			continue
		}
		if name, found := strings.CutSuffix(item, "L"); found {
			n, ok := dayOfWeekField.value(name)
			if !ok {
				return dayOfWeekField.refuse(item)
			}
			c.lastDaysOfWeek |= 1 << n
			continue
		}
		if name, nth, found := strings.Cut(item, "#"); found {
			n, ok := dayOfWeekField.value(name)
			i, isNumber := number(nth)
			if !ok || !isNumber || i < 1 || i > len(c.nthDaysOfWeek) {
				return dayOfWeekField.refuse(item)
			}
			c.nthDaysOfWeek[i-1] |= 1 << n
			continue
		}
		set, err := dayOfWeekField.item(item)
		if err != nil {
			return err
		}
		c.daysOfWeek |= set
	}
	return nil
}

// set parses a list of items.
func (f field) set(text string) (uint32, error) {
	var all uint32
	for item := range strings.SplitSeq(text, ",") {
		set, err := f.item(item)
		if err != nil {
			return 0, err
		}
		all |= set
	}
	return all, nil
}

// item parses "*", "3", "3-7", "3/2" (every second value from 3 on), "3-7/2", "*/2" and "/2".
func (f field) item(text string) (uint32, error) {
	span, stepText, stepped := strings.Cut(text, "/")
	step := 1
	if stepped {
		n, ok := number(stepText)
		if !ok || n < 1 || n > f.max {
			return 0, f.refuse(text)
		}
		step = n
	}
	first, last := f.min, f.max
	if from, to, isRange := strings.Cut(span, "-"); isRange {
		var ok, ok2 bool
		first, ok = f.value(from)
		last, ok2 = f.value(to)
		if !ok || !ok2 || first > last {
			return 0, f.refuse(text)
		}
	} else if span != "*" && (span != "" || !stepped) {
		n, ok := f.value(span)
		if !ok {
			return 0, f.refuse(text)
		}
		first = n
		if !stepped {
			last = n
		}
	}
	var set uint32
	for n := first; n <= last; n += step {
		set |= 1 << n
	}
	return set, nil
}

// value parses a number or a name.
func (f field) value(text string) (int, bool) {
	if n, ok := number(text); ok && len(text) <= 2 {
		return n, n >= f.min && n <= f.max
	}
	return f.named(text)
}

// named parses a name in upper or lower case.
func (f field) named(text string) (int, bool) {
	if len(text) != 3 {
		return 0, false
	}
	for i := 0; i < len(f.names); i += 3 {
		if strings.EqualFold(f.names[i:i+3], text) {
			return f.min + i/3, true
		}
	}
	return 0, false
}

func (f field) refuse(item string) error {
	values := fmt.Sprintf("%d-%d", f.min, f.max)
	if f.names != "" {
		values += fmt.Sprintf(" or %s-%s", f.names[:3], f.names[len(f.names)-3:])
	}
	return fmt.Errorf("%s contains %q: allowed values are %s", f.name, item, values)
}

// interval returns the shortest time between two openings. It returns an error if the expression
// opens more or less often than Secrets Manager allows.
func (c *cron) interval() (time.Duration, error) {
	start := time.Date(2001, time.January, 1, 0, 0, 0, 0, time.UTC)
	end := start.AddDate(cycleYears, 0, 0)
	shortest := yearApart
	for last := start; last.Before(end); {
		next := c.next(last, time.UTC)
		if next.IsZero() || next.Sub(last) > yearApart {
			return 0, errors.New("it does not open every year: rotations must not be more than a year apart")
		}
		if last != start {
			shortest = min(shortest, next.Sub(last))
		}
		last = next
	}
	if shortest < minInterval {
		return 0, fmt.Errorf("it opens again after %v: rotations must be at least %v apart", Duration(shortest), Duration(minInterval))
	}
	return shortest, nil
}

// next returns the first opening after t, or the zero time if there is none.
func (c *cron) next(t time.Time, zone *time.Location) time.Time {
	date := dateIn(t, zone)
	for range cycleYears * 366 {
		if c.matches(date) {
			for hours := c.hours; hours != 0; hours &= hours - 1 {
				if opens := instant(date, time.Duration(bits.TrailingZeros32(hours))*time.Hour, zone); opens.After(t) {
					return opens
				}
			}
		}
		date = date.Add(day)
	}
	return time.Time{}
}

// matches reports whether windows open on a date, given as midnight in UTC.
func (c *cron) matches(midnight time.Time) bool {
	_, month, dayOfMonth := midnight.Date()
	if c.months>>month&1 == 0 {
		return false
	}
	weekday := midnight.Weekday() + 1 // as in the expression, 1 is Sunday
	if c.days>>dayOfMonth&1 != 0 || c.daysOfWeek>>weekday&1 != 0 || c.nthDaysOfWeek[(dayOfMonth-1)/7]>>weekday&1 != 0 {
		return true
	}
	if c.lastDay && midnight.Add(day).Day() == 1 {
		return true
	}
	if c.lastDaysOfWeek>>weekday&1 != 0 && midnight.Add(7*day).Day() <= 7 {
		return true
	}
	return c.weekdays != 0 && c.nearestWeekday(midnight)
}

// nearestWeekday reports whether the day is the weekday nearest to one of the days of c.weekdays in the same month.
func (c *cron) nearestWeekday(midnight time.Time) bool {
	year, month, dayOfMonth := midnight.Date()
	for set := c.weekdays; set != 0; set &= set - 1 {
		wanted := time.Date(year, month, bits.TrailingZeros32(set), 0, 0, 0, 0, time.UTC)
		if wanted.Month() != month {
			continue
		}
		nearest := wanted
		switch wanted.Weekday() {
		case time.Saturday:
			if nearest = wanted.Add(-day); nearest.Month() != month {
				nearest = wanted.Add(2 * day)
			}
		case time.Sunday:
			if nearest = wanted.Add(day); nearest.Month() != month {
				nearest = wanted.Add(-2 * day)
			}
		}
		if nearest.Day() == dayOfMonth {
			return true
		}
	}
	return false
}

// daily reports whether at most one window opens a day.
func (c *cron) daily() bool { return bits.OnesCount32(c.hours) == 1 }

// lastHour returns the time of day of the last opening.
func (c *cron) lastHour() time.Duration {
	return time.Duration(31-bits.LeadingZeros32(c.hours)) * time.Hour
}
