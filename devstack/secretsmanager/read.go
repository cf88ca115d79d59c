package secretsmanager

import (
	"cmp"
	"errors"
)

type getSecretValueInput struct {
	SecretId, VersionId, VersionStage string
}

type secretValue struct {
	versionIdentity
	CreatedDate   epoch
	SecretString  *string  `json:",omitempty"`
	SecretBinary  []byte   `json:",omitempty"`
	VersionStages []string `json:",omitempty"`
}

func (s caller) getSecretValue(in *getSecretValueInput) (secretValue, error) {
	if err := cmp.Or(
		checkID(in.SecretId),
		checkVersionID("VersionId", in.VersionId),
		checkLength("VersionStage", len(in.VersionStage), 0, 256),
	); err != nil {
		return secretValue{}, err
	}
	sec, err := s.live(in.SecretId)
	if err != nil {
		return secretValue{}, err
	}
	if sec.account() != s.account && sec.KmsKeyID == "" {
		// Another account can be given access to a customer-managed key, but not to the default
		// one.
		return secretValue{}, errorf("AccessDeniedException", "Access to KMS is not allowed")
	}
	id := in.VersionId
	if id == "" {
		id = sec.LabelHolders[cmp.Or(in.VersionStage, current)]
	}
	v := sec.Versions[id]
	missing := v == nil || v.empty()
	switch {
	case missing && in.VersionId != "":
		return secretValue{}, errorf(notFound, "Secrets Manager can't find the specified secret value for VersionId: %s", in.VersionId)
	case missing:
		return secretValue{}, errorf(notFound, "Secrets Manager can't find the specified secret value for staging label: %s",
			cmp.Or(in.VersionStage, current))
	case in.VersionStage != "" && sec.LabelHolders[in.VersionStage] != id:
		return secretValue{}, errorf(invalidRequest, "You provided a VersionStage that is not associated to the provided VersionId.")
	}
	if today := s.today(); v.Accessed != today || sec.Accessed != today {
		v.Accessed, sec.Accessed = today, today
		s.changes++
	}
	return secretValue{
		versionIdentity: versionIdentity{sec.identity(), id},
		CreatedDate:     v.Created,
		SecretString:    v.String,
		SecretBinary:    v.Binary,
		VersionStages:   sec.stages(id),
	}, nil
}

type batchGetSecretValueInput struct {
	SecretIdList []string
	Filters      []filter
	MaxResults   *int
	NextToken    string
}

type batchGetSecretValueOutput struct {
	SecretValues []secretValue
	Errors       []batchError `json:",omitempty"`
	NextToken    string       `json:",omitempty"`
}

type batchError struct {
	SecretId, ErrorCode, Message string
}

func (s caller) batchGetSecretValue(in *batchGetSecretValueInput) (batchGetSecretValueOutput, error) {
	out := batchGetSecretValueOutput{SecretValues: []secretValue{}}
	ids := in.SecretIdList
	switch {
	case (ids == nil) == (in.Filters == nil):
		return out, errorf(invalidParameter, "You must provide either SecretIdList or Filters, and not both.")
	case ids != nil:
		if err := checkLength("SecretIdList", len(ids), 1, 20); err != nil {
			return out, err
		}
		if in.MaxResults != nil || in.NextToken != "" {
			return out, errorf(invalidParameter, "You can use MaxResults and NextToken with Filters only.")
		}
	default:
		found, next, err := s.search(in.Filters, false, "", "", page{in.MaxResults, in.NextToken, 20})
		if err != nil {
			return out, err
		}
		for _, sec := range found {
			ids = append(ids, sec.ARN)
		}
		out.NextToken = next
	}
	for _, id := range ids {
		v, err := s.getSecretValue(&getSecretValueInput{SecretId: id})
		if err == nil {
			out.SecretValues = append(out.SecretValues, v)
			continue
		}
		var e *apiError
		if !errors.As(err, &e) {
			return out, err
		}
		out.Errors = append(out.Errors, batchError{id, e.Type, e.Message})
	}
	return out, nil
}
