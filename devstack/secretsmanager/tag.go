package secretsmanager

import "slices"

type tag struct {
	Key, Value string
}

// checkTags checks the bounds of the API reference.
func checkTags(tags []tag) error {
	for _, t := range tags {
		if err := checkLength("Key", len(t.Key), 1, 128); err != nil {
			return err
		}
		if err := checkLength("Value", len(t.Value), 0, 256); err != nil {
			return err
		}
	}
	return nil
}

// none is the answer of the operations that have none.
type none struct{}

type tagResourceInput struct {
	SecretId string
	Tags     []tag
}

func (s *Server) tagResource(in *tagResourceInput) (none, error) {
	if err := checkTags(in.Tags); err != nil {
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

func (s *Server) untagResource(in *untagResourceInput) (none, error) {
	sec, err := s.writable(in.SecretId)
	if err != nil {
		return none{}, err
	}
	sec.Tags = slices.DeleteFunc(sec.Tags, func(t tag) bool { return slices.Contains(in.TagKeys, t.Key) })
	s.changed(sec)
	return none{}, nil
}
