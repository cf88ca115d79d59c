package secretsmanager

import (
	"errors"
	"strings"
)

type deleteSecretInput struct {
	SecretId                   string
	RecoveryWindowInDays       *int64
	ForceDeleteWithoutRecovery bool
}

type deleteSecretOutput struct {
	identity
	DeletionDate epoch
}

func (s caller) deleteSecret(in *deleteSecretInput) (deleteSecretOutput, error) {
	var out deleteSecretOutput
	window := int64(30)
	if in.RecoveryWindowInDays != nil {
		window = *in.RecoveryWindowInDays
		if in.ForceDeleteWithoutRecovery {
			return out, errorf(invalidParameter, "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
		}
		if window < 7 || window > 30 {
			return out, errorf(invalidParameter, "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
		}
	}
	sec, err := s.find(in.SecretId)
	switch {
	case errors.Is(err, errNoSecret) && in.ForceDeleteWithoutRecovery:
		return deleteSecretOutput{s.unknownIdentity(in.SecretId), s.instant()}, nil
	case err != nil:
		return out, err
	case sec.PrimaryRegion != "":
		return out, errReplica
	case len(sec.Replicas) > 0:
		return out, errorf(invalidParameter, "You can't delete secret %s that still has replica regions [%s].", sec.ARN, sec.replicaRegions())
	case in.ForceDeleteWithoutRecovery:
		delete(s.state.Secrets, s.keyOf(sec))
		s.touch(s.keyOf(sec))
		return deleteSecretOutput{sec.identity(), s.instant()}, nil
	}
	if _, err := s.writable(in.SecretId); err != nil { // already scheduled, or a replica
		return out, err
	}
	sec.Deleted = s.instant() + epoch(window)*day
	s.changed(sec)
	return deleteSecretOutput{sec.identity(), sec.Deleted}, nil
}

// unknownIdentity is the answer to a forced deletion of a secret that does not exist, which is not
// an error.
func (s caller) unknownIdentity(id string) identity {
	if !strings.HasPrefix(id, "arn:") {
		return identity{s.newARN(id), id}
	}
	name := id[strings.LastIndexByte(id, ':')+1:]
	return identity{id, arnSuffixForm.ReplaceAllString(name, "")}
}

func (s caller) restoreSecret(in *secretIDInput) (identity, error) {
	sec, err := s.find(in.SecretId)
	if err != nil {
		return identity{}, err
	}
	if sec.Deleted != 0 {
		sec.Deleted = 0
		s.changed(sec)
	}
	return sec.identity(), nil
}
