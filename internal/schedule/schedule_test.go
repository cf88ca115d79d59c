package schedule_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rotate-user/rotate-user/internal/schedule"
	"pgregory.net/rapid"
)

func at(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		panic(err)
	}
	return t
}

func automatically(days int) schedule.Rules { return schedule.Rules{AutomaticallyAfterDays: days} }

// inUTC returns the schedule of rules that must be valid.
func inUTC(rules schedule.Rules) *schedule.Schedule { return in("", rules) }

func in(zone string, rules schedule.Rules, blackout ...string) *schedule.Schedule {
	s, err := schedule.New(rules, zone, blackout)
	if err != nil {
		panic(err)
	}
	return s
}

func expression(text string) schedule.Rules { return schedule.Rules{ScheduleExpression: text} }

func TestValidate(t *testing.T) {
	accepted := []schedule.Rules{
		automatically(1),
		automatically(1000),
		{AutomaticallyAfterDays: 30, Duration: "24h"},
		expression("rate(4 hours)"),
		expression("rate(1 day)"),
		expression("rate(999 days)"),
		{ScheduleExpression: "rate(4 hours)", Duration: "4h"},
		{ScheduleExpression: "rate(10 days)", Duration: "3h"},
		// The examples of the User Guide.
		expression("cron(0 /8 * * ? *)"),
		expression("cron(0 8/8 * * ? *)"),
		expression("cron(0 2/10 * * ? *)"),
		expression("cron(0 10 * * ? *)"),
		expression("cron(0 18 ? * SAT *)"),
		expression("cron(0 8 1 * ? *)"),
		expression("cron(0 1 ? 1/3 SUN#1 *)"),
		expression("cron(0 17 L * ? *)"),
		expression("cron(0 8 ? * MON-FRI *)"),
		expression("cron(0 16 1,15 * ? *)"),
		expression("cron(0 0 ? * SUN#1 *)"),
		expression("cron(0 0 ? JAN,APR,JUL,OCT 1L *)"),
		expression("cron(0 0 SUNL * ? *)"),
		expression("cron(0 0 15W * ? *)"),
		expression("cron(0 0 ? 1 SUN#1 *)"), // up to 371 days apart
		{ScheduleExpression: "cron(0 21 * * ? *)", Duration: "3h"},
		{ScheduleExpression: "cron(0 2/10 * * ? *)", Duration: "4h"},
	}
	for _, rules := range accepted {
		if err := rules.Validate(); err != nil {
			t.Errorf("%+v: %v", rules, err)
		}
	}

	refused := []struct {
		rules schedule.Rules
		says  string
	}{
		{schedule.Rules{}, "AutomaticallyAfterDays is 0"},
		{automatically(-1), "AutomaticallyAfterDays is -1"},
		{automatically(1001), "AutomaticallyAfterDays is 1001"},
		{schedule.Rules{AutomaticallyAfterDays: 1, ScheduleExpression: "rate(1 day)"}, "exclude each other"},
		{schedule.Rules{AutomaticallyAfterDays: 30, Duration: "25h"}, `Duration "25h"`},
		{schedule.Rules{AutomaticallyAfterDays: 30, Duration: "0h"}, `Duration "0h"`},
		{schedule.Rules{AutomaticallyAfterDays: 30, Duration: "3"}, `Duration "3"`},
		{schedule.Rules{AutomaticallyAfterDays: 30, Duration: "90m"}, `Duration "90m"`},
		{schedule.Rules{ScheduleExpression: "rate(4 hours)", Duration: "5h"}, "at most 4h"},
		{schedule.Rules{ScheduleExpression: "cron(0 22 * * ? *)", Duration: "3h"}, "at most 2h"},
		{schedule.Rules{ScheduleExpression: "cron(0 2/10 * * ? *)", Duration: "5h"}, "at most 4h"},
		{expression("rate(3 hours)"), "4 to 23976"},
		{expression("rate(23977 hours)"), "4 to 23976"},
		{expression("rate(0 days)"), "1 to 999"},
		{expression("rate(1000 days)"), "1 to 999"},
		{expression("rate(300 minutes)"), "minutes"},
		{expression("rate(-4 hours)"), "whole number"},
		{expression("rate(30)"), "unit"},
		{expression("rate()"), "unit"},
		{expression("rate(4 hours"), "rate(12 hours)"},
		{expression("every day"), "cron("},
		{expression("0 8 * * ? *"), "cron("},
		{expression("cron(" + strings.Repeat(" ", 256) + "0 8 * * ? *)"), "256"},
		{expression("cron(0 8 * * ?)"), "six fields"},
		{expression("cron(0 8 * * ? * *)"), "six fields"},
		{expression("cron(5 8 * * ? *)"), "Minutes"},
		{expression("cron(* 8 * * ? *)"), "Minutes"},
		{expression("cron(0 8 * * ? 2030)"), "Year"},
		{expression("cron(0 8 * * * *)"), "must be ?"},
		{expression("cron(0 8 ? * ? *)"), "must be ?"},
		{expression("cron(0 8 1 * MON *)"), "must be ?"},
		{expression("cron(0 24 * * ? *)"), "Hours"},
		{expression("cron(0 / * * ? *)"), "Hours"},
		{expression("cron(0 0/0 * * ? *)"), "Hours"},
		{expression("cron(0 ? * * ? *)"), "Hours"},
		{expression("cron(0 8 0 * ? *)"), "Day-of-month"},
		{expression("cron(0 8 32 * ? *)"), "Day-of-month"},
		{expression("cron(0 8 2L * ? *)"), "Day-of-month"},
		{expression("cron(0 8 LW * ? *)"), "Day-of-month"},
		{expression("cron(0 8 15-1 * ? *)"), "Day-of-month"},
		{expression("cron(0 8 1,,2 * ? *)"), "Day-of-month"},
		{expression("cron(0 8 * 13 ? *)"), "Month"},
		{expression("cron(0 8 * JANUARY ? *)"), "Month"},
		{expression("cron(0 8 ? * 0 *)"), "Day-of-week"},
		{expression("cron(0 8 ? * MON#6 *)"), "Day-of-week"},
		{expression("cron(0 8 ? * MON#0 *)"), "Day-of-week"},
		{expression("cron(0 8 ? * 8#1 *)"), "Day-of-week"},
		{expression("cron(0 * * * ? *)"), "after 1h"},
		{expression("cron(0 0/7 * * ? *)"), "after 3h"}, // 21:00, then 0:00
		{expression("cron(0 8,10 1 1 ? *)"), "after 2h"},
		{expression("cron(0 0 30 2 ? *)"), "every year"},
		{expression("cron(0 0 29 2 ? *)"), "every year"},
		{expression("cron(0 0 ? 2 SUN#5 *)"), "every year"},
	}
	for _, test := range refused {
		err := test.rules.Validate()
		if err == nil {
			t.Errorf("%+v was accepted", test.rules)
		} else if !strings.Contains(err.Error(), test.says) {
			t.Errorf("%+v: the error does not say %q: %v", test.rules, test.says, err)
		}
	}
}

// Two openings on a single day of the month are far enough apart even if they are close to
// midnight.
func TestIntervalCountsRealOpenings(t *testing.T) {
	if err := expression("cron(0 0,22 1 * ? *)").Validate(); err != nil {
		t.Error(err)
	}
	if err := expression("cron(0 0,22 1,2 * ? *)").Validate(); err == nil {
		t.Error("22:00 on the first and 0:00 on the second are two hours apart, and were accepted")
	}
}

func TestNextOpens(t *testing.T) {
	tests := []struct {
		rules         schedule.Rules
		after         string
		opens, closes string
	}{
		{automatically(1), "2026-03-05 23:59", "2026-03-06 00:00", "2026-03-07 00:00"},
		{automatically(30), "2024-01-31 10:00", "2024-03-01 00:00", "2024-03-02 00:00"}, // over a leap day
		{automatically(30), "2026-12-31 10:00", "2027-01-30 00:00", "2027-01-31 00:00"},
		{automatically(1000), "2026-01-01 00:00", "2028-09-27 00:00", "2028-09-28 00:00"},
		{schedule.Rules{AutomaticallyAfterDays: 30, Duration: "3h"}, "2026-01-01 12:00", "2026-01-31 00:00", "2026-01-31 03:00"},
		{expression("rate(10 days)"), "2026-01-01 12:00", "2026-01-11 00:00", "2026-01-12 00:00"},
		{expression("cron(0 10 * * ? *)"), "2026-01-01 00:00", "2026-01-01 10:00", "2026-01-02 00:00"},
		{expression("cron(0 10 * * ? *)"), "2026-12-31 23:00", "2027-01-01 10:00", "2027-01-02 00:00"},
		{expression("cron(0 /8 * * ? *)"), "2026-01-01 05:00", "2026-01-01 08:00", "2026-01-01 09:00"},
		{expression("cron(0 2/10 * * ? *)"), "2026-01-01 22:59", "2026-01-02 02:00", "2026-01-02 03:00"},
		{schedule.Rules{ScheduleExpression: "cron(0 2/10 * * ? *)", Duration: "4h"}, "2026-01-01 17:00", "2026-01-01 22:00", "2026-01-02 02:00"},
		{expression("cron(0 18 ? * SAT *)"), "2026-11-22 00:00", "2026-11-28 18:00", "2026-11-29 00:00"},
		{expression("cron(0 18 ? * 7 *)"), "2026-11-22 00:00", "2026-11-28 18:00", "2026-11-29 00:00"},
		{expression("cron(0 18 ? * L *)"), "2026-11-22 00:00", "2026-11-28 18:00", "2026-11-29 00:00"},
		{expression("cron(0 8 ? * mon-fri *)"), "2026-11-20 23:00", "2026-11-23 08:00", "2026-11-24 00:00"},
		{expression("cron(0 1 ? 1/3 SUN#1 *)"), "2026-11-22 00:00", "2027-01-03 01:00", "2027-01-04 00:00"},
		{expression("cron(0 1 ? * 3#3 *)"), "2026-11-01 00:00", "2026-11-17 01:00", "2026-11-18 00:00"},
		{expression("cron(0 17 L * ? *)"), "2028-02-01 00:00", "2028-02-29 17:00", "2028-03-01 00:00"},
		{expression("cron(0 17 L * ? *)"), "2027-02-01 00:00", "2027-02-28 17:00", "2027-03-01 00:00"},
		{expression("cron(0 17 L * ? *)"), "2100-02-01 00:00", "2100-02-28 17:00", "2100-03-01 00:00"},
		{expression("cron(0 0 ? * SUNL *)"), "2026-11-01 00:00", "2026-11-29 00:00", "2026-11-30 00:00"},
		{expression("cron(0 0 ? * SUNL *)"), "2027-01-26 00:00", "2027-01-31 00:00", "2027-02-01 00:00"},
		{expression("cron(0 0 SUNL * ? *)"), "2026-11-01 00:00", "2026-11-29 00:00", "2026-11-30 00:00"},
		{expression("cron(0 16 1,15 * ? *)"), "2026-11-02 00:00", "2026-11-15 16:00", "2026-11-16 00:00"},
		{expression("cron(0 0 31 * ? *)"), "2026-11-01 00:00", "2026-12-31 00:00", "2027-01-01 00:00"},
		{expression("cron(0 0 15W * ? *)"), "2026-11-01 00:00", "2026-11-16 00:00", "2026-11-17 00:00"}, // the 15th is a Sunday
		{expression("cron(0 0 1W * ? *)"), "2026-07-20 00:00", "2026-08-03 00:00", "2026-08-04 00:00"},  // the 1st is a Saturday
		{expression("cron(0 0 31W * ? *)"), "2027-01-01 00:00", "2027-01-29 00:00", "2027-01-30 00:00"}, // the 31st is a Sunday
	}
	for _, test := range tests {
		if err := test.rules.Validate(); err != nil {
			t.Errorf("%s: %v", test.rules, err)
			continue
		}
		window := inUTC(test.rules).Next(at(test.after), "MyTestDatabaseUserSecret")
		if !window.Opens.Equal(at(test.opens)) || !window.Closes.Equal(at(test.closes)) {
			t.Errorf("%s after %s: the window is %s to %s, not %s to %s", test.rules, test.after,
				window.Opens.Format("2006-01-02 15:04"), window.Closes.Format("2006-01-02 15:04"), test.opens, test.closes)
		}
	}
}

// Next returns a window that is already open if the secret's own time in it is still to come.
func TestNextInOpenWindow(t *testing.T) {
	rules := expression("cron(0 10 * * ? *)")
	window := inUTC(rules).Next(at("2026-01-01 00:00"), "MyTestDatabaseUserSecret")
	if window.At.Equal(window.Opens) {
		t.Fatal("this key has no offset: take another")
	}
	if again := inUTC(rules).Next(window.Opens, "MyTestDatabaseUserSecret"); again != window {
		t.Errorf("%v, then %v", window, again)
	}
}

func TestNextIsUTC(t *testing.T) {
	tokyo := time.FixedZone("JST", 9*60*60)
	window := inUTC(automatically(1)).Next(time.Date(2026, 1, 2, 3, 0, 0, 0, tokyo), "a") // still the first in UTC
	if want := at("2026-01-02 00:00"); window.Opens != want {
		t.Errorf("opens %s, want %s", window.Opens, want)
	}
}

// A user that is rotated every four hours with the longest window stays exactly four hours apart.
func TestRateDoesNotDrift(t *testing.T) {
	rules := schedule.Rules{ScheduleExpression: "rate(4 hours)", Duration: "4h"}
	for _, key := range []string{"a", "b", "c", "d", "e"} {
		last := inUTC(rules).Next(at("2026-01-01 00:07"), key).At
		for range 1000 {
			next := inUTC(rules).Next(last, key).At
			if got := next.Sub(last); got != 4*time.Hour {
				t.Fatalf("%s: %s after %s", key, got, last)
			}
			last = next
		}
	}
}

func TestSpread(t *testing.T) {
	rules := schedule.Rules{AutomaticallyAfterDays: 30, Duration: "1h"}
	const secrets, slots = 3000, 30 // a slot is a minute
	var filled [slots]int
	for i := range secrets {
		window := inUTC(rules).Next(at("2026-01-01 00:00"), fmt.Sprintf("prod/app-%d/mysql", i))
		filled[window.At.Sub(window.Opens)/time.Minute]++
	}
	for minute, n := range filled {
		if n < secrets/slots/2 || n > secrets/slots*2 {
			t.Errorf("minute %d has %d of %d secrets", minute, n, secrets)
		}
	}
}

func rulesGenerator() *rapid.Generator[schedule.Rules] {
	return rapid.Custom(func(t *rapid.T) schedule.Rules {
		var rules schedule.Rules
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			rules.AutomaticallyAfterDays = rapid.IntRange(1, 1000).Draw(t, "days")
		case 1:
			rules.ScheduleExpression = fmt.Sprintf("rate(%d days)", rapid.IntRange(1, 999).Draw(t, "days"))
		case 2:
			rules.ScheduleExpression = fmt.Sprintf("rate(%d hours)", rapid.IntRange(4, 1000).Draw(t, "hours"))
		default:
			rules.ScheduleExpression = "cron(0 " + rapid.SampledFrom([]string{
				"/4 * * ?", "8/8 * * ?", "3 * * ?", "23 L * ?", "0 ? * MON", "0,12 ? 1/2 FRI#2", "5 15W * ?", "7 ? * TUEL", "6 1-7,31 3/4 ?",
			}).Draw(t, "cron") + " *)"
		}
		if rapid.Bool().Draw(t, "window") {
			rules.Duration = fmt.Sprintf("%dh", rapid.IntRange(1, 24).Draw(t, "duration"))
		}
		return rules
	}).Filter(func(rules schedule.Rules) bool { return rules.Validate() == nil })
}

func TestNextProperties(t *testing.T) {
	generator := rulesGenerator()
	rapid.Check(t, func(t *rapid.T) {
		rules := generator.Draw(t, "rules")
		key := rapid.String().Draw(t, "key")
		after := time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "after"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).UTC()

		window := inUTC(rules).Next(after, key)
		if !window.At.After(after) {
			t.Fatalf("at %s, which is not after %s", window.At, after)
		}
		if window.At.Before(window.Opens) || !window.At.Before(window.Closes) {
			t.Fatalf("at %s, outside %s to %s", window.At, window.Opens, window.Closes)
		}
		if window.Opens.Minute() != 0 || window.Opens.Second() != 0 || window.Opens.Nanosecond() != 0 {
			t.Fatalf("opens at %s, not on the hour", window.Opens)
		}
		if again := inUTC(rules).Next(after.In(time.FixedZone("", 3600)), key); again != window {
			t.Fatalf("%v, then %v", window, again)
		}
		next := inUTC(rules).Next(window.At, key)
		if next.Opens.Before(window.Closes) {
			t.Fatalf("the next window opens at %s, before this one closes at %s", next.Opens, window.Closes)
		}
		if next.At.Sub(window.At) < 4*time.Hour {
			t.Fatalf("%s, then %s: less than four hours", window.At, next.At)
		}
		if next.At.Sub(next.Opens) != window.At.Sub(window.Opens) {
			t.Fatalf("the offset in the window changed: %v, then %v", window, next)
		}
	})
}

// Rules that are accepted always give a window, and are checked quickly.
func FuzzScheduleExpression(f *testing.F) {
	for _, seed := range []string{
		"rate(4 hours)", "rate(999 days)", "cron(0 /8 * * ? *)", "cron(0 1 ? 1/3 SUN#1 *)", "cron(0 0 15W,L * ? *)",
		"cron(0 0 SUNL 2 ? *)", "cron(0 0-23/6 ? JAN-DEC 2-6,1L *)",
	} {
		f.Add(seed, "")
		f.Add(seed, "2h")
	}
	after := at("2027-12-31 23:59")
	f.Fuzz(func(t *testing.T, text, duration string) {
		rules := schedule.Rules{ScheduleExpression: text, Duration: duration}
		if rules.Validate() != nil {
			return
		}
		window := inUTC(rules).Next(after, "key")
		if !window.At.After(after) || !window.Closes.After(window.At) {
			t.Fatalf("%q after %s: %v", text, after, window)
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	rules := expression("cron(0 /4 * * ? *)")
	for b.Loop() {
		if err := rules.Validate(); err != nil {
			b.Fatal(err)
		}
	}
}
