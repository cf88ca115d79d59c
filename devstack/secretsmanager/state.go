package secretsmanager

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// state is what the file of [Options].Path holds.
type state struct {
	Secrets map[string]*secret // by name
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
	PrimaryRegion string `json:",omitempty"`
	OwningService string `json:",omitempty"`

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
	s.touch(sec.Name)
}

// touch marks any other modification of the secret of this name that reads see.
func (s *Server) touch(name string) {
	s.touched[name] = true
	s.changes++
}

var (
	nameForm      = regexp.MustCompile(`^[A-Za-z0-9/_+=.@!-]+$`)
	arnSuffixForm = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)
)

const arnSuffixLen = 7 // hyphen and six characters

// arnPrefix is all of an ARN up to the secret's name.
func (s *Server) arnPrefix() string {
	return "arn:aws:secretsmanager:" + s.region + ":" + s.account + ":secret:"
}

// newARN returns an ARN for a secret. The six characters keep whoever was given
// rights on a deleted secret from a later one of the same name.
func (s *Server) newARN(name string) string {
	const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	suffix := make([]byte, arnSuffixLen-1)
	for i := range suffix {
		suffix[i] = alphanumeric[random.IntN(len(alphanumeric))]
	}
	return s.arnPrefix() + name + "-" + string(suffix)
}

var errNoSecret = errorf(notFound, "Secrets Manager can't find the specified secret.")

// checkID checks the form of a SecretId: a name, an ARN, or an ARN less its
// hyphen and six characters.
func checkID(id string) error {
	if err := checkLength("SecretId", len(id), 1, 2048); err != nil {
		return err
	}
	name := id
	if strings.HasPrefix(id, "arn:") {
		name = strings.ReplaceAll(id, ":", "")
	}
	return checkName(name)
}

func checkName(name string) error {
	if !nameForm.MatchString(name) {
		return errorf(validation, "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
	}
	return nil
}

// find returns the secret that id names, scheduled for deletion or not.
//
// An ARN that ends in a hyphen and six characters is taken for a complete one.
// So a secret whose name ends that way is not found by its partial ARN, of which
// the API reference warns.
func (s *Server) find(id string) (*secret, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(id, "arn:") {
		if sec := s.named(id); sec != nil {
			return sec, nil
		}
		return nil, errNoSecret
	}
	name, found := strings.CutPrefix(id, s.arnPrefix())
	if !found {
		return nil, errNoSecret
	}
	complete := arnSuffixForm.MatchString(name)
	if complete {
		name = name[:len(name)-arnSuffixLen]
	}
	sec := s.named(name)
	if sec == nil || complete && sec.ARN != id {
		return nil, errNoSecret
	}
	return sec, nil
}

// named returns the secret of this name or nil. One whose recovery window has
// passed is removed.
func (s *Server) named(name string) *secret {
	sec := s.state.Secrets[name]
	if sec != nil && sec.Deleted != 0 && sec.Deleted <= s.instant() {
		delete(s.state.Secrets, name)
		s.touch(name)
		return nil
	}
	return sec
}

var errScheduled = errorf(invalidRequest, "You can't perform this operation on the secret because it was marked for deletion.")

// live is find for the operations that a secret scheduled for deletion refuses.
func (s *Server) live(id string) (*secret, error) {
	sec, err := s.find(id)
	if err == nil && sec.Deleted != 0 {
		return nil, errScheduled
	}
	return sec, err
}

// writable is live for the operations that change a secret.
func (s *Server) writable(id string) (*secret, error) {
	sec, err := s.live(id)
	switch {
	case err != nil:
		return nil, err
	case sec.PrimaryRegion != "":
		return nil, errorf(invalidParameter, "Operation not permitted on a replica secret. Call must be made in primary secret's region.")
	case sec.OwningService != "":
		return nil, errorf(invalidRequest, "You can't modify secret %s because it is managed by %s.", sec.Name, sec.OwningService)
	}
	return sec, nil
}

// MakeReadOnly makes a secret a replica of one in another region, or gives it to an AWS service that alone may change it. No
// API call can do that here. An unknown secret is an error.
func (s *Server) MakeReadOnly(secretID, primaryRegion, owningService string) error {
	_, seen, err := locked(s, &secretIDInput{secretID}, func(s *Server, in *secretIDInput) (none, error) {
		sec, err := s.find(in.SecretId)
		if err == nil {
			sec.PrimaryRegion, sec.OwningService = primaryRegion, owningService
			s.changed(sec)
		}
		return none{}, err
	}, true)
	if err != nil {
		return err
	}
	return s.save(seen)
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

// load reads the state file, if there is one.
func (s *Server) load() error {
	if s.path == "" {
		return nil
	}
	b, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read state of Secrets Manager endpoint: %w", err)
	}
	var kept state
	if err := json.Unmarshal(b, &kept); err != nil || kept.Secrets == nil {
		// The cause is left out: it may quote the content.
		return fmt.Errorf("state of Secrets Manager endpoint: %s is not a file written here, or is damaged", s.path)
	}
	s.state = kept
	for _, sec := range s.state.Secrets {
		for _, v := range sec.Versions {
			if v.String != nil {
				s.values = append(s.values, *v.String)
			}
		}
	}
	return nil
}

// save returns when the file reflects at least the first n changes. Calls that
// wait here together share one write.
func (s *Server) save(n uint64) error {
	if s.path == "" {
		return nil
	}
	s.saving.Lock()
	defer s.saving.Unlock()
	if s.saved >= n {
		return nil
	}
	s.mu.Lock()
	b, err := json.Marshal(&s.state)
	n = s.changes
	s.mu.Unlock()
	if err == nil {
		err = replaceFile(s.path, b)
	}
	if err != nil {
		return fmt.Errorf("keep state of Secrets Manager endpoint: %w", err)
	}
	s.saved = n
	return nil
}

// replaceFile gives the file at path a new content, so that a crash at any moment
// leaves the old or the new one, and a crash after it the new one.
func replaceFile(path string, content []byte) error {
	dir := filepath.Dir(path)
	// One name for all times: what a crash leaves is overwritten by the next.
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	err = cmp.Or(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
