package secretsmanager

import (
	"encoding/base64"
	"slices"
	"strings"
)

// page is the part of a list that a call asks for.
type page struct {
	size  *int // MaxResults as given
	token string
	most  int // the maximum of size, and its default
}

// tokenPrefix identifies the tokens of this endpoint.
const tokenPrefix = "after "

// cut returns the part of list that p asks for, in the order of key, which must be unique, and the
// token of the next part, if there is one. A token contains the key of the last element returned,
// so that nothing is skipped or repeated when elements are added or removed between two calls.
func cut[E any](p page, list []E, key func(E) string, descending bool) ([]E, string, error) {
	size := p.most
	if p.size != nil {
		size = *p.size
	}
	if size < 1 || size > p.most {
		return nil, "", errorf(invalidParameter, "MaxResults must be between 1 and %d, not %d.", p.most, size)
	}
	type keyed struct {
		key     string
		element E
	}
	compare := func(a, b string) int {
		if descending {
			a, b = b, a
		}
		return strings.Compare(a, b)
	}
	after, resume := "", false
	if p.token != "" {
		b, err := base64.URLEncoding.DecodeString(p.token)
		if err == nil {
			after, resume = strings.CutPrefix(string(b), tokenPrefix)
		}
		if !resume {
			return nil, "", errorf("InvalidNextTokenException", "The NextToken value is invalid.")
		}
	}
	var rest []keyed
	for _, e := range list {
		if k := key(e); !resume || compare(k, after) > 0 {
			rest = append(rest, keyed{k, e})
		}
	}
	slices.SortFunc(rest, func(a, b keyed) int { return compare(a.key, b.key) })

	next := ""
	if len(rest) > size {
		rest = rest[:size]
		next = base64.URLEncoding.EncodeToString([]byte(tokenPrefix + rest[size-1].key))
	}
	part := make([]E, len(rest))
	for i, k := range rest {
		part[i] = k.element
	}
	return part, next, nil
}
