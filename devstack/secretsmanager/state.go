package secretsmanager

import (
	"bytes"
	"slices"
	"strconv"
	"time"
)

// state is the content of the file [Options].Path.
type state struct {
	Secrets map[string]*secret // by key: see Server.key
	LastSeq int                // the highest Seq of a secret so far
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
	Deleted     epoch `json:",omitzero"` // when it will be deleted, if scheduled for deletion
	Tags        []tag // nil if never tagged
	// PrimaryRegion is the region of the secret that this one replicates, if any. OwningService is
	// the AWS service that alone may change it, if any.
	PrimaryRegion string    `json:",omitempty"`
	OwningService string    `json:",omitempty"`
	Replicas      []replica `json:",omitempty"` // if this is a primary
	Policy        string    `json:",omitempty"`

	Rotation     rotation
	Versions     map[string]*version
	LastVersion  int               // Seq of the newest version
	LabelHolders map[string]string // from label to version id: a label is on at most one version
}

type version struct {
	Seq      int // order of creation within the secret
	ID       string
	Created  epoch
	Accessed epoch   `json:",omitzero"`
	String   *string `json:",omitempty"`
	Binary   []byte  `json:",omitempty"`
}

// empty reports whether v has no value, like the version that RotateSecret creates for its function
// to fill.
func (v *version) empty() bool { return v.String == nil && v.Binary == nil }

func (v *version) equal(o value) bool {
	if v.String == nil || o.SecretString == nil {
		return v.String == nil && o.SecretString == nil && bytes.Equal(v.Binary, o.SecretBinary)
	}
	return *v.String == *o.SecretString
}

// epoch is a time in milliseconds since 1970. In JSON it is a number of seconds, as in AWS JSON. 0
// means no time.
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

// today is the date of an access as the service records it: midnight UTC.
func (s *Server) today() epoch { now := s.instant(); return now - now%day }

// changed records a modification of sec. Reading a secret does not change its date.
func (s *Server) changed(sec *secret) {
	sec.Changed = s.instant()
	s.propagate(sec)
	s.touch(s.keyOf(sec))
}

// touch records any other modification that reads see of the secret under this key.
func (s *Server) touch(key string) {
	s.touched[key] = true
	s.changes++
}

// stages returns the labels of a version in a stable order, or nil if it has none.
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

// versionStages returns the labels of all versions that have any.
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

// makeCurrent moves AWSCURRENT. AWSPREVIOUS follows to the version that had it. If the version has
// AWSPREVIOUS, this is a rollback: the two labels are swapped.
func (sec *secret) makeCurrent(versionID string) {
	if old := sec.LabelHolders[current]; old != "" && old != versionID {
		sec.LabelHolders[previous] = old
	}
	sec.LabelHolders[current] = versionID
}

// prune removes versions without labels as the service does: all but the newest hundred, except
// those less than a day old.
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
