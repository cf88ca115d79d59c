package secretsmanager

import (
	"bytes"
	"slices"
	"strconv"
	"time"
)

// state is what the file of [Options].Path holds.
type state struct {
	Secrets map[string]*secret // by their keys: see Server.key
	LastSeq int                // of the secrets made so far
}

type secret struct {
	Seq         int // order of creation
	Name        string
	ARN         string
	Description string `json:",omitempty"`
	KmsKeyID    string `json:",omitempty"`
	Created     epoch
	Changed     epoch
	Accessed    epoch `json:",omitzero"`
	Deleted     epoch `json:",omitzero"` // when it ceases to exist, if scheduled for deletion
	Tags        []tag // nil: never tagged
	// PrimaryRegion, if set, is another region, where the secret is that this one is a replica of; OwningService is the
	// AWS service that alone may change it.
	PrimaryRegion string    `json:",omitempty"`
	OwningService string    `json:",omitempty"`
	Replicas      []replica `json:",omitempty"` // of a primary
	Policy        string    `json:",omitempty"`

	Rotation     rotation
	Versions     map[string]*version
	LastVersion  int               // Seq of the newest version
	LabelHolders map[string]string // label to version id: a label is on one version at most
}

type version struct {
	Seq      int // order of creation within the secret
	ID       string
	Created  epoch
	Accessed epoch   `json:",omitzero"`
	String   *string `json:",omitempty"`
	Binary   []byte  `json:",omitempty"`
}

// empty reports whether v has no value, as the version that RotateSecret makes
// for its function to fill.
func (v *version) empty() bool { return v.String == nil && v.Binary == nil }

func (v *version) equal(o value) bool {
	if v.String == nil || o.SecretString == nil {
		return v.String == nil && o.SecretString == nil && bytes.Equal(v.Binary, o.SecretBinary)
	}
	return *v.String == *o.SecretString
}

// epoch is an instant in milliseconds since 1970; in JSON it is a number of
// seconds, as AWS JSON has it. 0 is no instant.
type epoch int64

func (e epoch) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(e)/1000, 'f', -1, 64), nil
}

func (e *epoch) UnmarshalJSON(b []byte) error {
	seconds, err := strconv.ParseFloat(string(b), 64)
	*e = epoch(seconds*1000 + 0.5)
	return err
}

const day = epoch(24 * time.Hour / time.Millisecond)

func (s *Server) instant() epoch { return epoch(s.now().UnixMilli()) }

// today is the service's form of a date of access: midnight UTC.
func (s *Server) today() epoch { now := s.instant(); return now - now%day }

// changed marks a modification of sec; what only reads a secret does not move its
// date.
func (s *Server) changed(sec *secret) {
	sec.Changed = s.instant()
	s.propagate(sec)
	s.touch(s.keyOf(sec))
}

// touch marks any other modification of the secret under this key that reads see.
func (s *Server) touch(key string) {
	s.touched[key] = true
	s.changes++
}

// stages returns the labels of a version in a stable order, nil if it has none.
func (sec *secret) stages(versionID string) []string {
	var labels []string
	for label, holder := range sec.LabelHolders {
		if holder == versionID {
			labels = append(labels, label)
		}
	}
	slices.Sort(labels)
	return labels
}

// versionStages maps the versions that have labels to these.
func (sec *secret) versionStages() map[string][]string {
	m := map[string][]string{}
	for label, holder := range sec.LabelHolders {
		m[holder] = append(m[holder], label)
	}
	for _, labels := range m {
		slices.Sort(labels)
	}
	return m
}

// makeCurrent moves AWSCURRENT; AWSPREVIOUS follows to the version that had it.
// For the version that has AWSPREVIOUS this is a roll-back: the two swap.
func (sec *secret) makeCurrent(versionID string) {
	if old := sec.LabelHolders[current]; old != "" && old != versionID {
		sec.LabelHolders[previous] = old
	}
	sec.LabelHolders[current] = versionID
}

// prune removes versions without labels as the service does: all but the newest
// hundred, and none that is younger than a day.
func (sec *secret) prune(now epoch) {
	const keep = 100
	if len(sec.Versions) <= keep {
		return
	}
	labelled := sec.versionStages()
	var deprecated []*version
	for _, v := range sec.Versions {
		if labelled[v.ID] == nil {
			deprecated = append(deprecated, v)
		}
	}
	slices.SortFunc(deprecated, func(a, b *version) int { return b.Seq - a.Seq })
	for i, v := range deprecated {
		if i >= keep && v.Created < now-day {
			delete(sec.Versions, v.ID)
		}
	}
}
