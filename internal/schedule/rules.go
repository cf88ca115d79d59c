package schedule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	maxAutomaticDays    = 1000 // RotationRulesType, AutomaticallyAfterDays
	maxRateDays         = 999  // User Guide, "Rate expressions"
	minInterval         = 4 * time.Hour
	maxExpressionLength = 256 // RotationRulesType, ScheduleExpression
)

// Rules say how often a secret is rotated, in the vocabulary of Secrets Manager's RotationRules.
// Exactly one of AutomaticallyAfterDays and ScheduleExpression must be set.
type Rules struct {
	// AutomaticallyAfterDays is the number of days between rotations, 1 to 1000. The next rotation
	// is due that many days after the day of the last one, in a window that opens at midnight.
	AutomaticallyAfterDays int `json:"AutomaticallyAfterDays,omitempty"`
	// ScheduleExpression is "rate(12 hours)", "rate(10 days)" or "cron(Minutes Hours Day-of-month Month Day-of-week Year)".
	ScheduleExpression string `json:"ScheduleExpression,omitempty"`
	// Duration is the length of the rotation window in whole hours, "1h" to "24h". By default the
	// window closes at the end of the day, or after one hour if there are several rotations a day.
	Duration string `json:"Duration,omitempty"`
}

// Validate returns an error that names the wrong field, if any.
func (r Rules) Validate() error {
	_, err := r.check()
	return err
}

func (r Rules) check() (plan, error) {
	p, err := r.compile()
	if err != nil {
		return p, err
	}
	longest, reason := day, "the window must not extend into the next day"
	if p.hours != 0 {
		longest, reason = time.Duration(p.hours)*time.Hour, "the window must not extend into the next one"
	}
	if p.cron != nil {
		interval, err := p.cron.interval()
		if err != nil {
			return p, fmt.Errorf("ScheduleExpression %q: %w", r.ScheduleExpression, err)
		}
		if p.cron.daily() {
			longest = day - p.cron.lastHour()
		} else {
			longest, reason = interval, "the window must not extend into the next one"
		}
	}
	if p.window > longest {
		return p, fmt.Errorf("Duration %q: must be at most %dh with this schedule, because %s", r.Duration, longest/time.Hour, reason)
	}
	return p, nil
}

// String describes the rules briefly: "every 30 days", "cron(0 8 ? * MON *), window 3h".
func (r Rules) String() string {
	text := r.ScheduleExpression
	switch {
	case text != "":
	case r.AutomaticallyAfterDays == 1:
		text = "every day"
	default:
		text = fmt.Sprintf("every %d days", r.AutomaticallyAfterDays)
	}
	if r.Duration != "" {
		text += ", window " + r.Duration
	}
	return text
}

// plan is the compiled form of Rules: one of days, hours and cron, and the length of every window.
type plan struct {
	days   int
	hours  int
	cron   *cron
	window time.Duration
}

// daily reports whether each window is the only one of its day and closes on that day.
func (p plan) daily() bool { return p.days != 0 || p.cron != nil && p.cron.daily() }

// following returns the opening after opens.
func (p plan) following(opens time.Time, zone *time.Location) time.Time {
	switch {
	case p.days != 0:
		return instant(dateIn(opens, zone).AddDate(0, 0, p.days), 0, zone)
	case p.hours != 0:
		return opens.Add(time.Duration(p.hours) * time.Hour)
	default:
		return p.cron.next(opens, zone)
	}
}

// compile parses the rules. It does not check whether the schedule and the window are within
// Secrets Manager's limits; check does.
func (r Rules) compile() (plan, error) {
	var p plan
	switch expression := r.ScheduleExpression; {
	case expression != "" && r.AutomaticallyAfterDays != 0:
		return p, errors.New("AutomaticallyAfterDays and ScheduleExpression exclude each other: set only one")
	case expression == "":
		if r.AutomaticallyAfterDays < 1 || r.AutomaticallyAfterDays > maxAutomaticDays {
			return p, fmt.Errorf("AutomaticallyAfterDays is %d: set it to 1 to %d days, or set a ScheduleExpression",
				r.AutomaticallyAfterDays, maxAutomaticDays)
		}
		p.days = r.AutomaticallyAfterDays
	case len(expression) > maxExpressionLength:
		return p, fmt.Errorf("ScheduleExpression has %d characters: at most %d are allowed", len(expression), maxExpressionLength)
	default:
		if err := p.parseExpression(expression); err != nil {
			return p, fmt.Errorf("ScheduleExpression %q: %w", expression, err)
		}
	}
	if r.Duration != "" {
		hours, ok := number(strings.TrimSuffix(r.Duration, "h"))
		if !ok || !strings.HasSuffix(r.Duration, "h") || hours < 1 || hours > 24 {
			return p, fmt.Errorf("Duration %q: must be whole hours, 1h to 24h", r.Duration)
		}
		p.window = time.Duration(hours) * time.Hour
		return p, nil
	}
	switch {
	case p.days != 0:
		p.window = day
	case p.cron != nil && p.cron.daily():
		p.window = day - p.cron.lastHour()
	default:
		p.window = time.Hour
	}
	return p, nil
}

func (p *plan) parseExpression(text string) error {
	name, rest, _ := strings.Cut(text, "(")
	arguments, closed := strings.CutSuffix(rest, ")")
	var err error
	switch {
	case name == "rate" && closed:
		err = p.parseRate(arguments)
	case name == "cron" && closed:
		p.cron, err = parseCron(arguments)
	default:
		err = errors.New("write rate(12 hours), rate(10 days) or, for every Monday at eight, cron(0 8 ? * MON *)")
	}
	return err
}

func (p *plan) parseRate(text string) error {
	fields := strings.Fields(text)
	if len(fields) != 2 {
		return errors.New("a rate must be a number and a unit, as in rate(12 hours) or rate(10 days)")
	}
	n, ok := number(fields[0])
	if !ok {
		return fmt.Errorf("%q is not a whole number", fields[0])
	}
	switch fields[1] {
	case "hour", "hours":
		if n < int(minInterval/time.Hour) || n > maxRateDays*24 {
			return fmt.Errorf("a rate in hours must be 4 to %d", maxRateDays*24)
		}
		p.hours = n
	case "day", "days":
		if n < 1 || n > maxRateDays {
			return fmt.Errorf("a rate in days must be 1 to %d", maxRateDays)
		}
		p.days = n
	default:
		return fmt.Errorf("unknown unit %q: use hours or days", fields[1])
	}
	return nil
}

// number parses an unsigned decimal number of one to five digits.
func number(text string) (int, bool) {
	if len(text) == 0 || len(text) > 5 || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}
