package secretsmanager

import (
	"cmp"
	"errors"
	"slices"
)

// The labels that the service moves by itself.
const (
	current  = "AWSCURRENT"
	previous = "AWSPREVIOUS"
	pending  = "AWSPENDING"
)

// value is a secret's value in an input: text or bytes. In JSON bytes are base64.
type value struct {
	SecretString *string
	SecretBinary []byte
}

func (v value) given() bool { return v.SecretString != nil || v.SecretBinary != nil }

func (v value) check() error {
	const limit = 65536 // bytes
	if v.SecretString != nil && v.SecretBinary != nil {
		return errorf(invalidParameter, "You can't specify both a binary secret value and a string secret value in the same secret.")
	}
	if len(v.SecretBinary) == 0 && (v.SecretString == nil || *v.SecretString == "") {
		return errorf(invalidRequest, "You must provide either SecretString or SecretBinary.")
	}
	if v.SecretString != nil {
		return checkLength("SecretString", len(*v.SecretString), 1, limit)
	}
	return checkLength("SecretBinary", len(v.SecretBinary), 1, limit)
}

// checkLength checks the bounds of the API reference, both included.
func checkLength(parameter string, n, least, most int) error {
	if n < least || n > most {
		return errorf(invalidParameter, "%s must have a length of %d to %d, not %d.", parameter, least, most, n)
	}
	return nil
}

// checkToken checks a ClientRequestToken, which becomes a version's id.
func checkToken(token, errorIfMissing string) error {
	if token == "" {
		return errorf(errorIfMissing, "You must provide a ClientRequestToken value. We recommend a UUID-type value.")
	}
	if len(token) < 32 || len(token) > 64 {
		return errorf(invalidParameter, "ClientRequestToken must be 32-64 characters long.")
	}
	return nil
}

func checkVersionID(parameter, id string) error {
	if id == "" {
		return nil
	}
	return checkLength(parameter, len(id), 32, 64)
}

func errTokenUsed(token string, sec *secret) error {
	return errorf(exists, "You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", token, sec.ARN)
}

// putVersion stores val as the version named token, under labels, or as the new
// AWSCURRENT if there are none. A token seen before with the same value changes
// nothing, so that a late repetition does not take AWSCURRENT back; with another
// value it is an error. A version that RotateSecret left empty is filled.
func (s *Server) putVersion(sec *secret, token string, val value, labels []string) error {
	v := sec.Versions[token]
	if v != nil && !v.empty() {
		if !v.equal(val) {
			return errTokenUsed(token, sec)
		}
		return nil
	}
	if v == nil {
		v = sec.newVersion(token, s.instant())
	}
	v.String, v.Binary = val.SecretString, val.SecretBinary
	if v.String != nil {
		s.values = append(s.values, *v.String)
	}

	old := sec.LabelHolders[current]
	if len(labels) == 0 || old == "" || slices.Contains(labels, current) {
		sec.makeCurrent(token)
		if old != "" && sec.LabelHolders[pending] == old {
			// Left over from the rotation that made that version current.
			delete(sec.LabelHolders, pending)
		}
	}
	for _, label := range labels {
		sec.LabelHolders[label] = token
	}
	sec.prune(s.instant())
	s.changed(sec)
	return nil
}

func (sec *secret) newVersion(id string, now epoch) *version {
	sec.LastVersion++
	v := &version{Seq: sec.LastVersion, ID: id, Created: now}
	sec.Versions[id] = v
	return v
}

// identity is what nearly every answer begins with.
type identity struct {
	ARN, Name string
}

func (sec *secret) identity() identity { return identity{sec.ARN, sec.Name} }

// versionIdentity is the answer that also names the version concerned, if any.
type versionIdentity struct {
	identity
	VersionId string `json:",omitempty"`
}

type createSecretInput struct {
	value
	Name, ClientRequestToken, Description, KmsKeyId string
	Tags                                            []tag
}

func (s *Server) createSecret(in *createSecretInput) (versionIdentity, error) {
	var out versionIdentity
	var valueErr error
	if in.given() {
		valueErr = in.check()
	}
	if err := cmp.Or(
		checkLength("Name", len(in.Name), 1, 512),
		checkName(in.Name),
		checkToken(in.ClientRequestToken, invalidRequest),
		checkLength("Description", len(in.Description), 0, 2048),
		checkTags(in.Tags),
		valueErr,
	); err != nil {
		return out, err
	}
	if sec := s.named(in.Name); sec != nil {
		if sec.Deleted != 0 {
			return out, errorf(invalidRequest, "You can't create this secret because a secret with this name is already scheduled for deletion.")
		}
		v := sec.Versions[in.ClientRequestToken]
		switch {
		case v == nil:
			return out, errorf(exists, "The operation failed because the secret %s already exists.", in.Name)
		case !v.equal(in.value):
			return out, errTokenUsed(in.ClientRequestToken, sec)
		}
		return versionIdentity{sec.identity(), v.ID}, nil
	}
	s.state.LastSeq++
	sec := &secret{
		Seq:          s.state.LastSeq,
		Name:         in.Name,
		ARN:          s.newARN(in.Name),
		Description:  in.Description,
		KmsKeyID:     in.KmsKeyId,
		Created:      s.instant(),
		Tags:         in.Tags,
		Versions:     map[string]*version{},
		LabelHolders: map[string]string{},
	}
	s.state.Secrets[sec.Name] = sec
	s.changed(sec)
	out.identity = sec.identity()
	if !in.given() {
		return out, nil
	}
	out.VersionId = in.ClientRequestToken
	return out, s.putVersion(sec, in.ClientRequestToken, in.value, nil)
}

type putSecretValueInput struct {
	value
	SecretId, ClientRequestToken string
	VersionStages                []string
}

type putSecretValueOutput struct {
	versionIdentity
	VersionStages []string `json:",omitempty"`
}

func (s *Server) putSecretValue(in *putSecretValueInput) (putSecretValueOutput, error) {
	var out putSecretValueOutput
	if err := cmp.Or(
		checkID(in.SecretId),
		checkToken(in.ClientRequestToken, invalidRequest),
		checkLabels(in.VersionStages),
		in.check(),
	); err != nil {
		return out, err
	}
	sec, err := s.writable(in.SecretId)
	if err != nil {
		return out, err
	}
	if err := s.putVersion(sec, in.ClientRequestToken, in.value, in.VersionStages); err != nil {
		return out, err
	}
	out.versionIdentity = versionIdentity{sec.identity(), in.ClientRequestToken}
	out.VersionStages = sec.stages(in.ClientRequestToken)
	return out, nil
}

// maxLabels is the most labels that a version may have, and a call may name.
const maxLabels = 20

// checkLabels checks VersionStages, where nil means that none were given.
func checkLabels(labels []string) error {
	if labels == nil {
		return nil
	}
	if err := checkLength("VersionStages", len(labels), 1, maxLabels); err != nil {
		return err
	}
	for _, l := range labels {
		if err := checkLength("VersionStage", len(l), 1, 256); err != nil {
			return err
		}
	}
	return nil
}

type updateSecretInput struct {
	value
	SecretId, ClientRequestToken string
	Description, KmsKeyId        *string
}

func (s *Server) updateSecret(in *updateSecretInput) (versionIdentity, error) {
	var out versionIdentity
	var valueErr, descriptionErr error
	if in.given() {
		valueErr = in.check()
	}
	if in.Description != nil {
		descriptionErr = checkLength("Description", len(*in.Description), 0, 2048)
	}
	if err := cmp.Or(
		checkID(in.SecretId),
		checkToken(in.ClientRequestToken, invalidRequest),
		descriptionErr,
		valueErr,
	); err != nil {
		return out, err
	}
	sec, err := s.writable(in.SecretId)
	if err != nil {
		return out, err
	}
	if in.given() {
		if err := s.putVersion(sec, in.ClientRequestToken, in.value, nil); err != nil {
			return out, err
		}
		out.VersionId = in.ClientRequestToken
	}
	if in.Description != nil {
		sec.Description = *in.Description
	}
	if in.KmsKeyId != nil {
		sec.KmsKeyID = *in.KmsKeyId
	}
	s.changed(sec)
	out.identity = sec.identity()
	return out, nil
}

type updateSecretVersionStageInput struct {
	SecretId, VersionStage, RemoveFromVersionId, MoveToVersionId string
}

func (s *Server) updateSecretVersionStage(in *updateSecretVersionStageInput) (identity, error) {
	label, from, to := in.VersionStage, in.RemoveFromVersionId, in.MoveToVersionId
	if err := cmp.Or(
		checkID(in.SecretId),
		checkLength("VersionStage", len(label), 1, 256),
		checkVersionID("RemoveFromVersionId", from),
		checkVersionID("MoveToVersionId", to),
	); err != nil {
		return identity{}, err
	}
	sec, err := s.writable(in.SecretId)
	if err != nil {
		return identity{}, err
	}
	for _, id := range []string{from, to} {
		if id != "" && sec.Versions[id] == nil {
			return identity{}, errorf(invalidParameter, "Not a valid version: %s", id)
		}
	}
	holder := sec.LabelHolders[label]
	switch {
	case from == "" && to == "":
		return identity{}, errorf(invalidParameter, "You must provide RemoveFromVersionId, MoveToVersionId, or both.")
	case from != "" && from != holder:
		return identity{}, errorf(invalidParameter, "When you move staging label %s, if you specify RemoveFromVersionId, it must be set to the version that currently has the staging label %s.", label, label)
	case to == "" && label == current:
		return identity{}, errorf(invalidParameter, "You can only move staging label %s to a different secret version. It can't be completely removed.", label)
	case from == "" && holder != "" && holder != to:
		return identity{}, errorf(invalidParameter, "The parameter RemoveFromVersionId can't be empty. Staging label %s is currently attached to version %s, so you must explicitly reference that version in RemoveFromVersionId.", label, holder)
	case to != "" && holder != to && len(sec.stages(to)) >= maxLabels:
		return identity{}, errorf("LimitExceededException", "Version %s has %d staging labels, the most that are allowed.", to, maxLabels)
	}
	switch {
	case to == "":
		delete(sec.LabelHolders, label)
	case label == current:
		sec.makeCurrent(to)
	default:
		sec.LabelHolders[label] = to
	}
	s.changed(sec)
	return sec.identity(), nil
}

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

func (s *Server) getSecretValue(in *getSecretValueInput) (secretValue, error) {
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
		return secretValue{}, errorf(notFound, "Secrets Manager can't find the specified secret value for staging label: %s", cmp.Or(in.VersionStage, current))
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

func (s *Server) batchGetSecretValue(in *batchGetSecretValueInput) (batchGetSecretValueOutput, error) {
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
