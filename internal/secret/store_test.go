package secret

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// service answers a store's calls. The store's clock is that of the test's bubble.
type service struct {
	answer func(operation string) (status int, body any)
	mu     sync.Mutex
	calls  []string
}

// count returns how often an operation was called.
func (s *service) count(operation string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c == operation {
			n++
		}
	}
	return n
}

func (s *service) Do(r *http.Request) (*http.Response, error) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	s.mu.Lock()
	s.calls = append(s.calls, operation)
	s.mu.Unlock()
	status, body := s.answer(operation)
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(text))), Request: r}, nil
}

func (s *service) store() *Store {
	return NewStore(secretsmanager.New(secretsmanager.Options{
		Region: "eu-west-1", HTTPClient: s, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""), Retryer: aws.NopRetryer{},
	}))
}

// described returns an answer of DescribeSecret from pairs of label and version.
func described(stages ...string) (int, any) {
	versions := map[string][]string{}
	for i := 0; i < len(stages); i += 2 {
		versions[stages[i+1]] = append(versions[stages[i+1]], stages[i])
	}
	return http.StatusOK, map[string]any{"Name": "app", "VersionIdsToStages": versions}
}

func failed(kind string) (int, any) { return http.StatusBadRequest, map[string]any{"__type": kind} }

func TestStillStagedWaitsOnlyForItsOwnWrite(t *testing.T) {
	labels := Labels{Current: "one", Pending: "two", Before: "earlier"}
	settled := []string{Current, "one", Pending, "two"}
	for _, c := range []struct {
		name  string
		first []string // the answers during the first second
		waits bool
		moved string // the label that the error names if the answer never changes
	}{
		{"settled", settled, false, ""},
		{"before the version was staged", []string{Current, "one"}, true, Pending},
		{"before it was staged, with a leftover label", []string{Current, "one", Pending, "one"}, true, Pending},
		{"before it was staged, with an abandoned version", []string{Current, "one", Pending, "earlier"}, true, Pending},
		{"before the previous promotion", []string{Current, "zero", Pending, "one"}, true, Current},
		{"another rotation has staged", []string{Current, "one", Pending, "three"}, false, Pending},
		{"another rotation has promoted", []string{Current, "three", Previous, "one"}, false, Current},
		{"taken over, with AWSPREVIOUS put back", []string{Current, "three", Previous, "zero", Pending, "two"}, false, Current},
		{"edited", []string{Current, "three", Previous, "one", Pending, "two"}, false, Current},
		{"promoted, and rolled back", []string{Current, "one", Previous, "two", Pending, "two"}, false, Current},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				s := &service{}
				s.answer = func(string) (int, any) {
					if time.Since(began) < time.Second {
						return described(c.first...)
					}
					return described(settled...)
				}
				_, err := s.store().StillStaged(t.Context(), "app", labels)
				if waited := time.Since(began) > 0; waited != c.waits {
					t.Errorf("waited: %t: want %t", waited, c.waits)
				}
				if c.waits && err != nil {
					t.Errorf("%v, although the answer caught up", err)
				}
				if !c.waits && len(s.calls) != 1 {
					t.Errorf("%d calls, want 1", len(s.calls))
				}

				s.answer = func(string) (int, any) { return described(c.first...) }
				began = time.Now()
				_, err = s.store().StillStaged(t.Context(), "app", labels)
				if waited := time.Since(began); waited > 10*time.Second {
					t.Errorf("waited %s, want a few seconds", waited)
				}
				var moved *MovedError
				if errors.As(err, &moved) != (c.moved != "") || moved != nil && moved.Label != c.moved {
					t.Errorf("%v, want an error about %q", err, c.moved)
				}
			})
		})
	}
}

func TestVersionWaitsForAVersionJustStaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := &service{}
		s.answer = func(string) (int, any) {
			if time.Since(began) < 2*time.Second {
				return failed("ResourceNotFoundException")
			}
			return http.StatusOK, map[string]any{"Name": "app", "VersionId": "two", "SecretString": complete}
		}
		if v, err := s.store().Version(t.Context(), "app", "two"); err != nil || v.ID != "two" {
			t.Errorf("version %s, %v", v.ID, err)
		}

		s.answer = func(string) (int, any) { return failed("ResourceNotFoundException") }
		began = time.Now()
		_, err := s.store().Version(t.Context(), "app", "two")
		var missing *types.ResourceNotFoundException
		if waited := time.Since(began); !errors.As(err, &missing) || waited > 10*time.Second {
			t.Errorf("%v after %s, want a missing version after a few seconds", err, waited)
		}

		s.answer = func(string) (int, any) { return failed("AccessDeniedException") }
		began, s.calls = time.Now(), nil
		if _, err := s.store().Version(t.Context(), "app", "two"); err == nil || len(s.calls) != 1 {
			t.Errorf("%v after %d calls, want a refusal after one", err, len(s.calls))
		}
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{answer: func(string) (int, any) { return described(Current, "one") }}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := s.store().StillStaged(ctx, "app", Labels{Current: "one", Pending: "two"})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %s, want the context's error", err, time.Since(began))
		}
	})
}

// The answer to a move was lost, and the retry is refused. The store must first check where the
// label is now.
func TestMoveThatTookEffectSucceeds(t *testing.T) {
	for kind, waits := range map[string]bool{"InvalidParameterException": true, "AccessDeniedException": false, "ThrottlingException": false} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			s := &service{}
			s.answer = func(operation string) (int, any) {
				switch {
				case operation == "UpdateSecretVersionStage":
					return failed(kind)
				case time.Since(began) < time.Second:
					return described(Current, "one", Pending, "two")
				default:
					return described(Current, "two", Previous, "one")
				}
			}
			err := s.store().move(t.Context(), "app", Current, "one", "two")
			if (err == nil) != waits || time.Since(began) > 0 != waits {
				t.Errorf("%s: %v after %s: want to wait: %t", kind, err, time.Since(began), waits)
			}
		})
	}
}

// A version that is not listed yet must not be taken for one that was abandoned long ago.
func TestCreatedFailsForAVersionNotListedYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := &service{}
		s.answer = func(string) (int, any) {
			if time.Since(began) < time.Second {
				return http.StatusOK, map[string]any{"Versions": []any{}}
			}
			return http.StatusOK, map[string]any{"Versions": []any{map[string]any{"VersionId": "two", "CreatedDate": 1_700_000_000}}}
		}
		if created, err := s.store().Created(t.Context(), "app", "two"); err != nil || created.Unix() != 1_700_000_000 {
			t.Errorf("created %s, %v", created, err)
		}
		began = time.Now().Add(time.Hour)
		if created, err := s.store().Created(t.Context(), "app", "two"); err == nil {
			t.Errorf("created %s, want an error", created)
		}
	})
}

func TestDeleteReturnsOnceTheDeletionShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := &service{}
		s.answer = func(operation string) (int, any) {
			answer := map[string]any{"Name": "app"}
			if operation == "DeleteSecret" {
				answer["DeletionDate"] = 1_800_000_000
			} else if time.Since(began) > time.Second {
				answer["DeletedDate"] = 1_800_000_000
			}
			return http.StatusOK, answer
		}
		date, err := s.store().Delete(t.Context(), "app", 7)
		if err != nil || date.Unix() != 1_800_000_000 || time.Since(began) < time.Second {
			t.Errorf("deletion on %s, %v after %s, want it to show in the description", date, err, time.Since(began))
		}
	})
}

// A version that was staged a moment ago is read from memory, and has its secret's name and ARN.
func TestStagedVersionHasTheSecretsNameAndARN(t *testing.T) {
	s := &service{answer: func(string) (int, any) {
		return http.StatusOK, map[string]any{"Name": "app", "ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app-AbCdEf",
			"VersionId": "two"}
	}}
	store := s.store()
	id := "arn:aws:secretsmanager:eu-west-1:123456789012:secret:app"
	if _, err := store.Stage(t.Context(), id, "two", []byte(`{"engine":"mysql","host":"db","username":"u","password":"p3y8Lw"}`)); err != nil {
		t.Fatal(err)
	}
	v, err := store.Version(t.Context(), id, "two")
	if err != nil || v.Name != "app" || v.ARN != id+"-AbCdEf" {
		t.Errorf("%q %q, %v", v.Name, v.ARN, err)
	}
}

func TestUnmoved(t *testing.T) {
	t.Parallel()
	labels := func(current, pending string) Description {
		return Description{Stages: map[string]string{Current: current, Previous: "zero", Pending: pending}}
	}
	for name, c := range map[string]struct {
		was, now Description
		moved    string // the label
	}{
		"nothing":                    {labels("one", ""), labels("one", ""), ""},
		"still staged":               {labels("one", "two"), labels("one", "two"), ""},
		"tidied":                     {labels("one", "one"), labels("one", ""), ""},
		"not tidied yet":             {labels("one", ""), labels("one", "one"), ""},
		"tidied after a rollback":    {labels("one", "zero"), labels("one", ""), ""},
		"staged after a rollback":    {labels("one", "zero"), labels("one", "two"), Pending},
		"staged since":               {labels("one", ""), labels("one", "two"), Pending},
		"another version was staged": {labels("one", "two"), labels("one", "three"), Pending},
		"no longer staged":           {labels("one", "two"), labels("one", ""), Pending},
		"promoted":                   {labels("one", ""), labels("two", ""), Current},
	} {
		err := c.now.Unmoved(c.was)
		moved, ok := errors.AsType[*MovedError](err)
		if ok != (c.moved != "") || ok && moved.Label != c.moved {
			t.Errorf("%s: %v, want that %q has moved", name, err, c.moved)
		}
	}
}
