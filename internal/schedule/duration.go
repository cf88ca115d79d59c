package schedule

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// maxDays is the longest whole number of days that a time.Duration holds.
const maxDays = int(math.MaxInt64 / int64(day))

var errDuration = errors.New(`a duration is text such as "90m", "3h", "30d" or "1d12h"`)

// Duration is a length of time as people write it: whole days, then hours, minutes and seconds, as
// in "3h", "30d" or "1d12h". A day is 24 hours. In JSON it is that text; a number is refused,
// because it could mean seconds or nanoseconds. A Duration is never negative.
type Duration time.Duration

// ParseDuration parses text such as "90m", "3h", "30d" or "1d12h". "0s" and "0" are zero.
func ParseDuration(text string) (Duration, error) {
	refuse := func() (Duration, error) { return 0, fmt.Errorf("%q is not a duration: %w", text, errDuration) }
	if text == "" || strings.ContainsAny(text, "+-") {
		return refuse()
	}
	rest, days := text, 0
	if before, after, found := strings.Cut(text, "d"); found {
		n, err := strconv.Atoi(before)
		if err != nil || n > maxDays {
			return refuse()
		}
		days, rest = n, after
	}
	clock := time.Duration(0)
	if rest != "" {
		var err error
		if clock, err = time.ParseDuration(rest); err != nil {
			return refuse()
		}
	}
	if clock > math.MaxInt64-time.Duration(days)*day {
		return refuse()
	}
	return Duration(time.Duration(days)*day + clock), nil
}

// String returns the shortest text that ParseDuration accepts for d, such as "30d", "1d12h" or
// "1h30m". Zero is "0s".
func (d Duration) String() string {
	if d == 0 {
		return "0s"
	}
	days, clock := time.Duration(d)/day, time.Duration(d)%day
	var text strings.Builder
	if days != 0 {
		fmt.Fprintf(&text, "%dd", days)
	}
	if clock != 0 {
		s := clock.String()
		if strings.HasSuffix(s, "m0s") {
			s = strings.TrimSuffix(s, "0s")
		}
		if strings.HasSuffix(s, "h0m") {
			s = strings.TrimSuffix(s, "0m")
		}
		text.WriteString(s)
	}
	return text.String()
}

// MarshalText returns d.String().
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText parses text with ParseDuration.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// UnmarshalJSON parses a JSON string. Its error is a json.UnmarshalTypeError, the only kind to
// which package json adds the name of the field.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return d.typeError(string(data))
	}
	if string(data) == "null" {
		return nil
	}
	if err := d.UnmarshalText([]byte(text)); err != nil {
		return d.typeError(string(data))
	}
	return nil
}

func (d *Duration) typeError(value string) error {
	return &json.UnmarshalTypeError{Value: fmt.Sprintf("%s (%v)", value, errDuration), Type: reflect.TypeFor[Duration]()}
}
