package secretsmanager

import (
	"maps"
	"net/http"
	"slices"
	"time"
)

// moment is what reads see from a given time on, until the next moment.
type moment struct {
	from    time.Time
	secrets map[string]*secret // copies, by their keys
}

// record keeps the present state for the reads that will see it when the lag has passed. A
// published change is visible at once, together with everything before it.
func (s *Server) record(publish bool) {
	if len(s.touched) == 0 {
		return
	}
	if s.lag <= 0 {
		clear(s.touched)
		return
	}
	now := s.now()
	m := moment{now.Add(s.lag), maps.Clone(s.past[len(s.past)-1].secrets)}
	for key := range s.touched {
		if sec := s.state.Secrets[key]; sec != nil {
			m.secrets[key] = sec.clone()
		} else {
			delete(m.secrets, key)
		}
	}
	clear(s.touched)
	if publish {
		m.from, s.past = now, nil
	}
	s.past = append(s.past, m)
}

// seen returns the secrets as a read sees them now.
func (s *Server) seen() map[string]*secret {
	now := s.now()
	for len(s.past) > 1 && !s.past[1].from.After(now) {
		s.past = s.past[1:]
	}
	return s.past[0].secrets
}

// clone returns a copy that is independent of later changes to sec. Values are shared, because they
// never change.
func (sec *secret) clone() *secret {
	c := *sec
	c.Tags, c.Replicas = slices.Clone(sec.Tags), slices.Clone(sec.Replicas)
	c.LabelHolders = maps.Clone(sec.LabelHolders)
	c.Versions = make(map[string]*version, len(sec.Versions))
	for id, v := range sec.Versions {
		copied := *v
		c.Versions[id] = &copied
	}
	return &c
}

// WithoutLag returns a handler of the same secrets, for setting up and checking what others read
// with [Options].Lag. Its reads see the present, and its writes are visible to everyone at once,
// together with everything before them.
func (s *Server) WithoutLag() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := s.caller(r)
		c.withoutLag = true
		s.serve(w, r, c)
	})
}
