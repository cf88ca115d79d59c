package secret

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// bubble runs f in a bubble that ends with what a store does in the background.
func bubble(t *testing.T, f func(*testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		f(t)
		<-time.After(2 * tidyWait)
	})
}

func TestLabelsAreTidiedWhenNothingIsPromoted(t *testing.T) {
	answers := func(string) (int, any) { return http.StatusOK, map[string]any{} }
	t.Run("one alone, at once", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := &service{answer: answers}
			s.store().TidyLater("app", "two")
			synctest.Wait()
			if s.count("UpdateSecretVersionStage") != 0 {
				t.Error("the promotion waits for it")
			}
			<-time.After(tidyAfter)
			synctest.Wait()
			if s.count("UpdateSecretVersionStage") != 1 {
				t.Errorf("%d labels are removed after %s: want one", s.count("UpdateSecretVersionStage"), tidyAfter)
			}
		})
	})
	t.Run("many, after the last of them", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := &service{answer: answers}
			store := s.store()
			const many = 50
			for i := range many {
				store.TidyLater(strconv.Itoa(i), "two")
				<-time.After(tidyAfter / 2)
			}
			synctest.Wait()
			if s.count("UpdateSecretVersionStage") != 0 {
				t.Errorf("%d labels are removed during a mass rotation", s.count("UpdateSecretVersionStage"))
			}
			began := time.Now()
			for s.count("UpdateSecretVersionStage") < many {
				<-time.After(tidyPause)
				synctest.Wait()
			}
			if took := time.Since(began); took < many*tidyPause {
				t.Errorf("%d labels are removed within %s", many, took)
			}
		})
	})
	t.Run("a later version in the place of an earlier one, and none that was taken along", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := &service{answer: answers}
			store := s.store()
			store.TidyLater("app", "two")
			store.TidyLater("app", "three")
			store.TidyLater("other", "two")
			if _, err := store.Stage(t.Context(), "other", "three", []byte(`{"engine":"mysql","host":"h","username":"u","password":"p"}`)); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Minute)
			synctest.Wait()
			if s.count("UpdateSecretVersionStage") != 1 {
				t.Errorf("%d labels are removed: want one", s.count("UpdateSecretVersionStage"))
			}
		})
	})
	t.Run("not after an hour, and not beyond the limit", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := &service{answer: answers}
			store := s.store()
			store.TidyLater("busy", "one")
			for i := range tidyMost + 10 {
				store.TidyLater(strconv.Itoa(i), "two")
			}
			if got := len(store.tidier.waiting); got != tidyMost {
				t.Errorf("%d labels wait: want %d at most", got, tidyMost)
			}
			for range int(tidyUntil / tidyAfter * 2) { // the other secrets
				<-time.After(tidyAfter / 2)
				store.TidyLater("busy", "two")
			}
			<-time.After(2 * tidyAfter)
			synctest.Wait()
			if s.count("UpdateSecretVersionStage") != 1 {
				t.Errorf("%d labels are removed: want that of the last promotion", s.count("UpdateSecretVersionStage"))
			}
		})
	})
	t.Run("now, if the worker stops", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := &service{answer: answers}
			store := s.store()
			store.TidyLater("app", "two")
			store.TidyLater("other", "two")
			store.TidyNow(t.Context())
			if s.count("UpdateSecretVersionStage") != 2 {
				t.Errorf("%d labels are removed: want two", s.count("UpdateSecretVersionStage"))
			}
			ended, end := context.WithCancel(t.Context())
			end()
			store.TidyLater("app", "three")
			store.TidyNow(ended)
			if s.count("UpdateSecretVersionStage") != 2 {
				t.Error("a label is removed after the end")
			}
		})
	})
}

func TestALabelThatCannotBeRemovedIsReported(t *testing.T) {
	for kind, reported := range map[string]bool{"AccessDeniedException": true, "ThrottlingException": true, "InvalidParameterException": false} {
		bubble(t, func(t *testing.T) {
			s := &service{answer: func(string) (int, any) { return failed(kind) }}
			store := s.store()
			var errs atomic.Int32
			store.NotTidied = func(error) { errs.Add(1) }
			store.TidyLater("app", "two")
			store.TidyLater("other", "two")
			<-time.After(tidyAfter + tidyWait/2)
			synctest.Wait()
			calls := 2
			if reported {
				calls = 1 // it waits before the next one
			}
			if s.count("UpdateSecretVersionStage") != calls || (errs.Load() > 0) != reported {
				t.Errorf("%s: %d calls, %d errors: want %d calls", kind, s.count("UpdateSecretVersionStage"), errs.Load(), calls)
			}
			<-time.After(2 * tidyWait)
			synctest.Wait()
			if s.count("UpdateSecretVersionStage") != 2 {
				t.Errorf("%s: %d calls in the end: want 2", kind, s.count("UpdateSecretVersionStage"))
			}
		})
	}
}
