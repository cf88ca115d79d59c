package secretsmanager

import "cmp"

type createSecretInput struct {
	value
	Name, ClientRequestToken, Description, KmsKeyId string
	Tags                                            []tag
	AddReplicaRegions                               []replicaRegion
	ForceOverwriteReplicaSecret                     bool
}

func (s caller) createSecret(in *createSecretInput) (versionIdentity, error) {
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
		s.checkTags(in.Tags),
		s.checkReplicas(in.AddReplicaRegions),
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
		Seq:           s.state.LastSeq,
		Name:          in.Name,
		ARN:           s.newARN(in.Name),
		Description:   in.Description,
		KmsKeyID:      in.KmsKeyId,
		Created:       s.instant(),
		OwningService: s.service,
		Tags:          in.Tags,
		Versions:      map[string]*version{},
		LabelHolders:  map[string]string{},
	}
	if s.service != "" {
		on := true
		sec.Rotation = rotation{RotationEnabled: &on, RotationRules: &rotationRules{AutomaticallyAfterDays: 7}}
	}
	s.state.Secrets[s.keyOf(sec)] = sec
	s.changed(sec)
	s.addReplicas(sec, in.AddReplicaRegions, in.ForceOverwriteReplicaSecret)
	out.identity = sec.identity()
	if !in.given() {
		return out, nil
	}
	out.VersionId = in.ClientRequestToken
	return out, s.putVersion(sec, in.ClientRequestToken, in.value, nil)
}
