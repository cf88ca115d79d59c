package secretsmanager

import (
	"golang.org/x/time/rate"
)

// quotaWrites are the operations that share the quota of writes of an account and region.
var quotaWrites = map[string]bool{
	"PutSecretValue":               true,
	"RemoveRegionsFromReplication": true,
	"ReplicateSecretToRegions":     true,
	"StopReplicationToReplica":     true,
	"UpdateSecret":                 true,
	"UpdateSecretVersionStage":     true,
}

// LimitWrites lets each account and region have so many writes a second from now on, of which the service allows 50, and
// answers more of them with ThrottlingException. 0 ends the limit, as at the start. Calls of [Server.WithoutLag] do not count.
func (s *Server) LimitWrites(perSecond int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writesPerSecond, s.quotas = perSecond, map[string]*rate.Limiter{}
}

// throttles counts a call, and reports whether it is above the quota.
func (s caller) throttles() bool {
	if !quotaWrites[s.operation] || s.withoutLag {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writesPerSecond <= 0 {
		return false
	}
	of := s.account + " " + s.region
	if s.quotas[of] == nil {
		s.quotas[of] = rate.NewLimiter(rate.Limit(s.writesPerSecond), s.writesPerSecond)
	}
	return !s.quotas[of].AllowN(s.now(), 1)
}
