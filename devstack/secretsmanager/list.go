package secretsmanager

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// description is what the answers of DescribeSecret and ListSecrets have in common.
type description struct {
	identity
	Description      string `json:",omitempty"`
	KmsKeyId         string `json:",omitempty"`
	CreatedDate      epoch
	LastChangedDate  epoch
	LastAccessedDate epoch  `json:",omitzero"`
	DeletedDate      epoch  `json:",omitzero"`
	Tags             []tag  `json:",omitzero"` // an empty list after all were removed
	PrimaryRegion    string `json:",omitempty"`
	OwningService    string `json:",omitempty"`
	rotation
}

func (sec *secret) describe() description {
	primary := sec.PrimaryRegion
	if len(sec.Replicas) > 0 {
		primary = sec.region()
	}
	return description{
		identity:         sec.identity(),
		Description:      sec.Description,
		KmsKeyId:         sec.KmsKeyID,
		CreatedDate:      sec.Created,
		LastChangedDate:  sec.Changed,
		LastAccessedDate: sec.Accessed,
		DeletedDate:      sec.Deleted,
		Tags:             slices.Clone(sec.Tags),
		PrimaryRegion:    primary,
		OwningService:    sec.OwningService,
		rotation:         sec.Rotation,
	}
}

// secretIDInput is the input of operations that take only a SecretId.
type secretIDInput struct {
	SecretId string
}

type describeSecretOutput struct {
	description
	VersionIdsToStages map[string][]string `json:",omitempty"`
	ReplicationStatus  []replicationStatus `json:",omitempty"`
}

func (s caller) describeSecret(in *secretIDInput) (describeSecretOutput, error) {
	sec, err := s.find(in.SecretId)
	if err != nil {
		return describeSecretOutput{}, err
	}
	return describeSecretOutput{sec.describe(), sec.versionStages(), s.replicationStatus(sec)}, nil
}

type listSecretVersionIdsInput struct {
	SecretId          string
	IncludeDeprecated bool
	MaxResults        *int
	NextToken         string
}

type listSecretVersionIdsOutput struct {
	identity
	Versions  []versionEntry
	NextToken string `json:",omitempty"`
}

type versionEntry struct {
	VersionId        string
	CreatedDate      epoch
	LastAccessedDate epoch `json:",omitzero"`
	KmsKeyIds        []string
	VersionStages    []string `json:",omitempty"`
}

func (s caller) listSecretVersionIds(in *listSecretVersionIdsInput) (listSecretVersionIdsOutput, error) {
	var out listSecretVersionIdsOutput
	sec, err := s.find(in.SecretId)
	if err != nil {
		return out, err
	}
	labelled := sec.versionStages()
	var versions []*version
	for _, v := range sec.Versions {
		if in.IncludeDeprecated || labelled[v.ID] != nil {
			versions = append(versions, v)
		}
	}
	order := func(v *version) string { return fmt.Sprintf("%010d", v.Seq) }
	versions, next, err := cut(page{in.MaxResults, in.NextToken, 100}, versions, order, false)
	if err != nil {
		return out, err
	}
	out = listSecretVersionIdsOutput{sec.identity(), []versionEntry{}, next}
	for _, v := range versions {
		out.Versions = append(out.Versions, versionEntry{
			VersionId:        v.ID,
			CreatedDate:      v.Created,
			LastAccessedDate: v.Accessed,
			KmsKeyIds:        []string{cmp.Or(sec.KmsKeyID, "DefaultEncryptionKey")},
			VersionStages:    labelled[v.ID],
		})
	}
	return out, nil
}

type listSecretsInput struct {
	Filters                []filter
	IncludePlannedDeletion bool
	MaxResults             *int
	NextToken              string
	SortBy, SortOrder      string
}

type listSecretsOutput struct {
	SecretList []secretEntry
	NextToken  string `json:",omitempty"`
}

type secretEntry struct {
	description
	SecretVersionsToStages map[string][]string `json:",omitempty"`
}

func (s caller) listSecrets(in *listSecretsInput) (listSecretsOutput, error) {
	out := listSecretsOutput{SecretList: []secretEntry{}}
	found, next, err := s.search(in.Filters, in.IncludePlannedDeletion, in.SortBy, in.SortOrder, page{in.MaxResults, in.NextToken, 100})
	if err != nil {
		return out, err
	}
	for _, sec := range found {
		out.SecretList = append(out.SecretList, secretEntry{sec.describe(), sec.versionStages()})
	}
	out.NextToken = next
	return out, nil
}

type filter struct {
	Key    string
	Values []string
}

// attributes returns the texts of a secret that a filter searches, and whether it compares word by
// word and ignores case. known is false if there is no such filter.
func (f filter) attributes(sec *secret) (texts []string, words, known bool) {
	switch f.Key {
	case "name":
		return []string{sec.Name}, false, true
	case "description":
		return []string{sec.Description}, true, true
	case "tag-key", "tag-value":
		for _, t := range sec.Tags {
			if f.Key == "tag-key" {
				texts = append(texts, t.Key)
			} else {
				texts = append(texts, t.Value)
			}
		}
		return texts, false, true
	case "all":
		texts = []string{sec.Name, sec.Description}
		for _, t := range sec.Tags {
			texts = append(texts, t.Key, t.Value)
		}
		return texts, true, true
	case "primary-region":
		return []string{sec.describe().PrimaryRegion}, false, true
	case "owning-service":
		return []string{sec.OwningService}, false, true
	}
	return nil, false, false
}

// check checks the form of a filter.
func (f filter) check() error {
	if _, _, known := f.attributes(&secret{}); !known {
		return errorf(validation, "%q is not a filter.", f.Key)
	}
	if err := checkLength("Values", len(f.Values), 1, 10); err != nil {
		return err
	}
	for _, v := range f.Values {
		if err := checkLength("Values", len(v), 0, 512); err != nil {
			return err
		}
	}
	return nil
}

// match reports whether a secret matches: one of the values must match, or must not match if it
// begins with an exclamation mark.
func (f filter) match(sec *secret) bool {
	texts, words, _ := f.attributes(sec)
	for _, v := range f.Values {
		v, negated := strings.CutPrefix(v, "!")
		var found bool
		if words {
			found = hasWords(texts, v)
		} else {
			found = slices.ContainsFunc(texts, func(t string) bool { return strings.HasPrefix(t, v) })
		}
		if found != negated {
			return true
		}
	}
	return false
}

// hasWords reports whether every word in v is the beginning of some word in the texts.
func hasWords(texts []string, v string) bool {
	split := func(s string) []string {
		return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	}
	have := split(strings.Join(texts, " "))
	want := split(v)
	for _, w := range want {
		if !slices.ContainsFunc(have, func(h string) bool { return strings.HasPrefix(h, w) }) {
			return false
		}
	}
	return len(want) > 0
}

// search returns a page of the secrets that match all filters, and the token of the next page.
// Without sortBy, they are in the order of their creation.
func (s caller) search(filters []filter, scheduled bool, sortBy, order string, p page) ([]*secret, string, error) {
	if err := checkLength("Filters", len(filters), 0, 10); err != nil {
		return nil, "", err
	}
	for _, f := range filters {
		if err := f.check(); err != nil {
			return nil, "", err
		}
	}
	if order != "" && order != "asc" && order != "desc" {
		return nil, "", errorf(validation, "%q is not a SortOrder.", order)
	}
	var key func(*secret) string
	byDate := func(e epoch, sec *secret) string { return fmt.Sprintf("%016d %010d", e, sec.Seq) }
	switch sortBy {
	case "", "created-date":
		key = func(sec *secret) string { return byDate(sec.Created, sec) }
	case "last-changed-date":
		key = func(sec *secret) string { return byDate(sec.Changed, sec) }
	case "last-accessed-date":
		key = func(sec *secret) string { return byDate(sec.Accessed, sec) }
	case "name":
		key = func(sec *secret) string { return sec.Name }
	default:
		return nil, "", errorf(validation, "%q is not a SortBy.", sortBy)
	}

	now := s.instant()
	var found []*secret
	for _, sec := range s.state.Secrets {
		if sec.region() != s.region || sec.account() != s.account || sec.Deleted != 0 && (!scheduled || sec.Deleted <= now) {
			continue
		}
		if !slices.ContainsFunc(filters, func(f filter) bool { return !f.match(sec) }) {
			found = append(found, sec)
		}
	}
	return cut(p, found, key, order == "desc")
}
