package secretsmanager

import (
	"slices"
	"strings"
)

type tag struct {
	Key, Value string
}

// checkTags checks the limits in the API reference. Only AWS's own services may set tags whose keys
// begin with aws:.
func (s caller) checkTags(tags []tag) error {
	for _, t := range tags {
		if s.service == "" && strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			return errorf(invalidParameter, "Tag keys that begin with aws: are reserved for system use.")
		}
		if err := checkLength("Key", len(t.Key), 1, 128); err != nil {
			return err
		}
		if err := checkLength("Value", len(t.Value), 0, 256); err != nil {
			return err
		}
	}
	return nil
}

// none is the answer of operations without a result.
type none struct{}

type tagResourceInput struct {
	SecretId string
	Tags     []tag
}

func (s caller) tagResource(in *tagResourceInput) (none, error) {
	if err := s.checkTags(in.Tags); err != nil {
		return none{}, err
	}
	sec, err := s.writable(in.SecretId)
	if err != nil {
		return none{}, err
	}
	for _, t := range in.Tags {
		i := slices.IndexFunc(sec.Tags, func(old tag) bool { return old.Key == t.Key })
		if i < 0 {
			sec.Tags = append(sec.Tags, t)
		} else {
			sec.Tags[i] = t
		}
	}
	s.changed(sec)
	return none{}, nil
}

type untagResourceInput struct {
	SecretId string
	TagKeys  []string
}

func (s caller) untagResource(in *untagResourceInput) (none, error) {
	sec, err := s.writable(in.SecretId)
	if err != nil {
		return none{}, err
	}
	sec.Tags = slices.DeleteFunc(sec.Tags, func(t tag) bool { return slices.Contains(in.TagKeys, t.Key) })
	s.changed(sec)
	return none{}, nil
}
