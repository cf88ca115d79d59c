// Package schedule says when a secret is rotated, by the rules that Secrets Manager's RotateSecret call has, in the time zone
// and outside the blackouts that its owner gives. It is pure: the same schedule, time and key give the same answer on every
// machine that has the same rules for the time zone.
//
// The rules are those of "Rotation schedules" in the AWS Secrets Manager User Guide and of RotationRulesType in its API
// reference.
package schedule

import (
	"fmt"
	"hash/fnv"
	"time"
)

// Schedule is when one secret is rotated. New makes one.
type Schedule struct {
	plan     plan
	zone     *time.Location
	blackout []span
}

// New checks rules, the name of a time zone and the entries of a blackout, and returns the schedule that they make. Its error
// names the field that is wrong. The zone is one of the IANA database, such as "Europe/Berlin"; empty is UTC. For the entries
// of a blackout see parseSpan.
func New(rules Rules, timeZone string, blackout []string) (*Schedule, error) {
	p, err := rules.check()
	if err != nil {
		return nil, fmt.Errorf("RotationRules: %w", err)
	}
	s := Schedule{plan: p}
	if s.zone, err = zoneNamed(timeZone); err != nil {
		return nil, err
	}
	if s.blackout, err = parseBlackout(blackout, s.zone); err != nil {
		return nil, err
	}
	return &s, nil
}

// Window is the time in which one rotation is to happen.
type Window struct {
	// Opens is when the schedule says, on the hour of its time zone, or the end of a blackout.
	Opens time.Time
	// At is when to rotate. Secrets with the same schedule are spread over the first half of the window, each always at the
	// same place; the second half is left for retries.
	At time.Time
	// Closes is when to stop trying.
	Closes time.Time
}

// Next is the window of the next rotation after the last one, or after the start where there was none. Its At is later than
// after, and in no blackout. The key, the secret's id, decides the place inside the window.
//
// A rotation that did not happen at its At moves the following ones of AutomaticallyAfterDays and rate, which count from the
// last rotation, and leaves those of cron where they are.
func (s *Schedule) Next(after time.Time, key string) Window {
	after = after.UTC()
	offset := spread(key, s.plan.window/2)
	var opens time.Time
	switch p := s.plan; {
	case p.days != 0:
		opens = instant(dateIn(after, s.zone).AddDate(0, 0, p.days), 0, s.zone)
	case p.hours != 0:
		// Counting from the place where the last window opened, not from the place in it, keeps the rotations N hours
		// apart however long the window is.
		opens = after.Add(-offset).Truncate(time.Hour).Add(time.Duration(p.hours) * time.Hour)
	default:
		opens = p.cron.next(after.Add(-offset), s.zone)
	}
	for {
		w, free := s.place(s.window(opens), key, offset)
		if !free {
			w = s.moved(w, key, offset)
		}
		if w.At.After(after) {
			return w
		}
		// A blackout has put the rotation before its usual place in the window, and it has happened.
		opens = s.plan.following(opens, s.zone)
	}
}

// window is the window that opens at a time of the schedule. Where clocks are changed, it is shorter if it would go into the next
// day, or into the next window.
func (s *Schedule) window(opens time.Time) Window {
	p := s.plan
	w := Window{Opens: opens, Closes: opens.Add(p.window)}
	var limit time.Time
	if p.daily() {
		limit = instant(dateIn(opens, s.zone).AddDate(0, 0, 1), 0, s.zone)
	} else if p.cron != nil {
		limit = p.cron.next(opens, s.zone)
	}
	if !limit.IsZero() && limit.Before(w.Closes) {
		w.Closes = limit
	}
	return w
}

// place puts the rotation into its window, outside the blackouts. It reports false if the window has no place for it.
func (s *Schedule) place(w Window, key string, offset time.Duration) (Window, bool) {
	w.At = w.Opens.Add(offset)
	if w.At.Before(w.Closes) && s.Free(w.At).Equal(w.At) {
		return w, true
	}
	// The first free time after the usual place, or else the last one before.
	for from := s.Free(w.Opens); from.Before(w.Closes); {
		to := s.busy(from, w.Closes)
		w.At = from.Add(spread(key, to.Sub(from)/2))
		if to.After(w.Opens.Add(offset)) {
			return w, true
		}
		next := s.Free(to)
		if !next.Before(w.Closes) {
			return w, true
		}
		from = next
	}
	return w, false
}

// wait is how near the next window of a cron schedule must be for a rotation to wait for it, rather than to follow a blackout
// that its own window lies in.
const wait = day

// moved is the window of a rotation whose own window lies wholly in a blackout: it opens at the blackout's end.
func (s *Schedule) moved(w Window, key string, offset time.Duration) Window {
	end := s.Free(w.Opens)
	if c := s.plan.cron; c != nil {
		for opens := c.next(end.Add(-s.plan.window), s.zone); opens.Before(end.Add(wait)); opens = c.next(opens, s.zone) {
			if next, free := s.place(s.window(opens), key, offset); free {
				return next
			}
		}
	}
	w = Window{Opens: end, At: end.Add(offset), Closes: end.Add(s.plan.window)}
	if !s.Free(w.At).Equal(w.At) {
		w.At = end.Add(spread(key, s.busy(end, w.Closes).Sub(end)/2))
	}
	return w
}

// spread is a stable place for key in [0, limit), in whole seconds.
func spread(key string, limit time.Duration) time.Duration {
	if limit < time.Second {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(key)) // never fails: hash.Hash says so
	return time.Duration(h.Sum64()%uint64(limit/time.Second)) * time.Second
}
