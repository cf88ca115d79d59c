// Package schedule computes when a secret is rotated. It follows the rules of Secrets Manager's
// RotateSecret call, in a given time zone and outside given blackouts. It is pure: the same
// schedule, time and key give the same answer on every machine that has the same time zone
// database.
//
// The rules are those of "Rotation schedules" in the AWS Secrets Manager User Guide and of RotationRulesType in its API
// reference.
package schedule

import (
	"fmt"
	"hash/fnv"
	"time"
)

// Schedule says when one secret is rotated. New creates one.
type Schedule struct {
	plan     plan
	zone     *time.Location
	blackout []span
}

// New returns the schedule for rules, the name of a time zone and the entries of a blackout. Its
// error names the field that is wrong. The zone is from the IANA database, such as "Europe/Berlin";
// empty means UTC. parseSpan describes the entries of a blackout.
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

// Window is the time in which one rotation should happen.
type Window struct {
	// Opens is on the hour in the schedule's time zone, or at the end of a blackout.
	Opens time.Time
	// At is when to rotate. Secrets with the same schedule are spread over the first half of the
	// window, each always at the same offset. The second half is left for retries.
	At time.Time
	// Closes is when to stop trying.
	Closes time.Time
}

// Next returns the window of the next rotation. after is the time of the last rotation, or of the
// start if there was none. The window's At is later than after, and in no blackout. The key, which
// is the secret's id, determines the offset in the window.
//
// With AutomaticallyAfterDays and rate, a rotation that happens late also moves the following ones,
// which count from the last rotation. With cron, it does not.
func (s *Schedule) Next(after time.Time, key string) Window {
	after = after.UTC()
	offset := spread(key, s.plan.window/2)
	var opens time.Time
	switch p := s.plan; {
	case p.days != 0:
		opens = instant(dateIn(after, s.zone).AddDate(0, 0, p.days), 0, s.zone)
	case p.hours != 0:
		// Counting from the window's opening rather than from the rotation in it keeps rotations
		// exactly N hours apart, however long the window is.
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
		// Because of a blackout, the rotation happened before its usual offset in this window.
		opens = s.plan.following(opens, s.zone)
	}
}

// window returns the window that opens at a time of the schedule. It is shorter than usual if a
// change of clocks would extend it into the next day or the next window.
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

// place sets the time of the rotation in its window, outside the blackouts. It returns false if the
// whole window is in a blackout.
func (s *Schedule) place(w Window, key string, offset time.Duration) (Window, bool) {
	w.At = w.Opens.Add(offset)
	if w.At.Before(w.Closes) && s.Free(w.At).Equal(w.At) {
		return w, true
	}
	// Use the first free time after the usual offset, or else the last one before it.
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

// wait applies to cron schedules. If a blackout covers a rotation's whole window and the schedule's
// next window opens within this time of the blackout's end, the rotation waits for that window.
// Otherwise it starts right after the blackout.
const wait = day

// moved returns the window of a rotation whose own window is completely inside a blackout. It opens
// at the blackout's end.
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

// spread returns a stable offset for key in [0, limit), in whole seconds.
func spread(key string, limit time.Duration) time.Duration {
	if limit < time.Second {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(key)) // never fails, according to hash.Hash
	return time.Duration(h.Sum64()%uint64(limit/time.Second)) * time.Second
}
