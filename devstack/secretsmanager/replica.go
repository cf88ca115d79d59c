package secretsmanager

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// replica is what a primary secret knows about its copy in another region.
type replica struct {
	Region   string
	KmsKeyID string `json:",omitempty"`
	Status   string
	Message  string `json:",omitempty"`
	// Since is when the primary last changed, if the copy does not show that yet.
	Since epoch `json:",omitzero"`
	// Overwrite reports whether to replace a secret with the same name that already exists in the
	// region.
	Overwrite bool `json:",omitempty"`
}

// The values of Status.
const (
	inProgress = "InProgress"
	inSync     = "InSync"
	failed     = "Failed"
)

// Replication is how changes reach the replicas in a region.
type Replication struct {
	// Lag is how long replicas do not show a change. In the meantime, the primary shows them as
	// InProgress.
	Lag time.Duration
	// Failure, if not empty, is the message with which replication fails after the lag.
	Failure string
}

// Replicate sets how changes reach a region from now on, including those in progress. By default,
// they arrive after [Options].ReplicationLag. A failed replication is retried when the primary
// changes, or when ReplicateSecretToRegions names the region again.
func (s *Server) Replicate(region string, r Replication) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replication[region] = r
	s.settle()
}

func (s *Server) replicationTo(region string) Replication {
	if r, set := s.replication[region]; set {
		return r
	}
	return Replication{Lag: s.replicationLag}
}

// propagate starts the replication of what has changed in a primary secret.
func (s *Server) propagate(sec *secret) {
	for i := range sec.Replicas {
		r := &sec.Replicas[i]
		r.Status, r.Message, r.Since = inProgress, "", s.instant()
		s.replicating[s.keyOf(sec)] = true
	}
}

// settle completes the replications whose lag has passed.
func (s *Server) settle() {
	for key := range s.replicating {
		sec := s.state.Secrets[key]
		under := 0
		for i := 0; sec != nil && i < len(sec.Replicas); i++ {
			r := &sec.Replicas[i]
			to := s.replicationTo(r.Region)
			switch {
			case r.Status != inProgress:
			case r.Since+epoch(to.Lag.Milliseconds()) > s.instant():
				under++
			default:
				r.Status, r.Message = inSync, cmp.Or(to.Failure, s.copyTo(sec, *r))
				if r.Message != "" {
					r.Status = failed
				}
				r.Since, r.Overwrite = 0, false
				s.touch(key)
			}
		}
		if under == 0 {
			delete(s.replicating, key)
		}
	}
}

// copyTo makes a replica equal to its primary. It returns why it cannot, or "".
func (s *Server) copyTo(primary *secret, r replica) string {
	key := s.key(primary.account(), r.Region, primary.Name)
	arn := inRegion(primary.ARN, r.Region)
	old := s.state.Secrets[key]
	if old != nil && (old.PrimaryRegion == "" || old.ARN != arn) && !r.Overwrite {
		return "Replication failed: Secret name simple already exists in region " + r.Region + "."
	}
	c := primary.clone()
	c.ARN, c.KmsKeyID, c.PrimaryRegion, c.Replicas, c.Accessed = arn, r.KmsKeyID, primary.region(), nil, 0
	for id, v := range c.Versions {
		v.Accessed = 0
		if old != nil && old.ARN == arn && old.Versions[id] != nil {
			v.Accessed = old.Versions[id].Accessed
		}
	}
	if old != nil && old.ARN == arn {
		c.Seq, c.Accessed = old.Seq, old.Accessed
	} else {
		s.state.LastSeq++
		c.Seq = s.state.LastSeq
	}
	s.state.Secrets[key] = c
	s.touch(key)
	return ""
}

// inRegion returns an ARN with another region.
func inRegion(arn, region string) string {
	parts := strings.Split(arn, ":")
	parts[3] = region
	return strings.Join(parts, ":")
}

// replicationStatus is a replica as the answers show it.
type replicationStatus struct {
	Region           string
	KmsKeyId         string `json:",omitempty"`
	Status           string
	StatusMessage    string `json:",omitempty"`
	LastAccessedDate epoch  `json:",omitzero"`
}

func (s *Server) replicationStatus(sec *secret) []replicationStatus {
	var all []replicationStatus
	for _, r := range sec.Replicas {
		status := replicationStatus{Region: r.Region, KmsKeyId: r.KmsKeyID, Status: r.Status, StatusMessage: r.Message}
		if c := s.state.Secrets[s.key(sec.account(), r.Region, sec.Name)]; c != nil && c.PrimaryRegion != "" {
			status.LastAccessedDate = c.Accessed
		}
		all = append(all, status)
	}
	return all
}

type replicaRegion struct{ Region, KmsKeyId string }

type replicateSecretToRegionsInput struct {
	SecretId                    string
	AddReplicaRegions           []replicaRegion
	ForceOverwriteReplicaSecret bool
}

type replicationOutput struct {
	ARN               string
	ReplicationStatus []replicationStatus `json:",omitempty"`
}

// checkReplicas checks the regions to which a secret in this region should be copied.
func (s caller) checkReplicas(regions []replicaRegion) error {
	named := map[string]bool{s.region: true}
	for _, r := range regions {
		if r.Region == "" || named[r.Region] {
			return errorf(invalidParameter, "Invalid replica region.")
		}
		named[r.Region] = true
	}
	return nil
}

// addReplicas starts the replication of a secret to regions.
func (s caller) addReplicas(sec *secret, regions []replicaRegion, overwrite bool) {
	for _, to := range regions {
		i := slices.IndexFunc(sec.Replicas, func(r replica) bool { return r.Region == to.Region })
		if i < 0 {
			sec.Replicas = append(sec.Replicas, replica{Region: to.Region})
			i = len(sec.Replicas) - 1
		}
		sec.Replicas[i].KmsKeyID, sec.Replicas[i].Overwrite = to.KmsKeyId, overwrite
		sec.Replicas[i].Status, sec.Replicas[i].Message, sec.Replicas[i].Since = inProgress, "", s.instant()
		s.replicating[s.keyOf(sec)] = true
	}
	s.touch(s.keyOf(sec))
}

func (s caller) replicateSecretToRegions(in *replicateSecretToRegionsInput) (replicationOutput, error) {
	sec, err := s.writable(in.SecretId)
	if err != nil {
		return replicationOutput{}, err
	}
	if err := cmp.Or(checkLength("AddReplicaRegions", len(in.AddReplicaRegions), 1, 100), s.checkReplicas(in.AddReplicaRegions)); err != nil {
		return replicationOutput{}, err
	}
	s.addReplicas(sec, in.AddReplicaRegions, in.ForceOverwriteReplicaSecret)
	return replicationOutput{sec.ARN, s.replicationStatus(sec)}, nil
}

type removeRegionsInput struct {
	SecretId             string
	RemoveReplicaRegions []string
}

func (s caller) removeRegionsFromReplication(in *removeRegionsInput) (replicationOutput, error) {
	sec, err := s.writable(in.SecretId)
	if err != nil {
		return replicationOutput{}, err
	}
	if err := checkLength("RemoveReplicaRegions", len(in.RemoveReplicaRegions), 1, 100); err != nil {
		return replicationOutput{}, err
	}
	for _, region := range in.RemoveReplicaRegions {
		if !slices.ContainsFunc(sec.Replicas, func(r replica) bool { return r.Region == region }) {
			return replicationOutput{}, errorf(invalidParameter, "Invalid replica region.")
		}
	}
	for _, region := range in.RemoveReplicaRegions {
		key := s.key(sec.account(), region, sec.Name)
		if c := s.state.Secrets[key]; c != nil && c.ARN == inRegion(sec.ARN, region) {
			delete(s.state.Secrets, key)
			s.touch(key)
		}
		sec.dropReplica(region)
	}
	s.touch(s.keyOf(sec))
	return replicationOutput{sec.ARN, s.replicationStatus(sec)}, nil
}

func (sec *secret) dropReplica(region string) {
	sec.Replicas = slices.DeleteFunc(sec.Replicas, func(r replica) bool { return r.Region == region })
}

type arnOutput struct{ ARN string }

func (s caller) stopReplicationToReplica(in *secretIDInput) (arnOutput, error) {
	sec, err := s.live(in.SecretId)
	if err != nil {
		return arnOutput{}, err
	}
	if sec.PrimaryRegion == "" {
		return arnOutput{}, errorf(invalidRequest, "Secret %s is not a replica.", sec.Name)
	}
	if primary := s.state.Secrets[s.key(sec.account(), sec.PrimaryRegion, sec.Name)]; primary != nil {
		primary.dropReplica(s.region)
		s.touch(s.keyOf(primary))
	}
	sec.PrimaryRegion = ""
	s.changed(sec)
	return arnOutput{sec.ARN}, nil
}

// replicaRegions lists the regions of a secret's replicas.
func (sec *secret) replicaRegions() string {
	regions := map[string]bool{}
	for _, r := range sec.Replicas {
		regions[r.Region] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(regions)), ", ")
}

// updateReplicaKey changes the only thing that can be changed on a replica itself, its KMS key.
func (s caller) updateReplicaKey(in *updateSecretInput) (versionIdentity, error) {
	sec, err := s.live(in.SecretId)
	if err != nil {
		return versionIdentity{}, err
	}
	sec.KmsKeyID = *in.KmsKeyId
	if primary := s.state.Secrets[s.key(sec.account(), sec.PrimaryRegion, sec.Name)]; primary != nil {
		for i := range primary.Replicas {
			if primary.Replicas[i].Region == s.region {
				primary.Replicas[i].KmsKeyID = sec.KmsKeyID
				s.touch(s.keyOf(primary))
			}
		}
	}
	s.changed(sec)
	return versionIdentity{identity: sec.identity()}, nil
}
