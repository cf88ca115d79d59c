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

// value is a secret's value in an input: text or bytes. In JSON, bytes are base64.
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

// checkLength checks the limits in the API reference, both inclusive.
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
	return errorf(exists, "You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", token,
		sec.ARN)
}

// putVersion stores val as the version named token, with the given labels, or as the new AWSCURRENT
// if there are none. If the token was used before with the same value, nothing changes, so a late
// repetition does not move AWSCURRENT back. With another value it is an error. A version that
// RotateSecret left empty is filled.
func (s caller) putVersion(sec *secret, token string, val value, labels []string) error {
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

// identity is the first part of nearly every answer.
type identity struct {
	ARN, Name string
}

func (sec *secret) identity() identity { return identity{sec.ARN, sec.Name} }

// versionIdentity is the answer that also names the version, if any.
type versionIdentity struct {
	identity
	VersionId string `json:",omitempty"`
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

func (s caller) putSecretValue(in *putSecretValueInput) (putSecretValueOutput, error) {
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

type updateSecretInput struct {
	value
	SecretId, ClientRequestToken string
	Description, KmsKeyId        *string
}

func (s caller) updateSecret(in *updateSecretInput) (versionIdentity, error) {
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
	if errors.Is(err, errReplica) && !in.given() && in.Description == nil && in.KmsKeyId != nil {
		return s.updateReplicaKey(in)
	}
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
