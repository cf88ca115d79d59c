package secretsmanager

import "cmp"

// rotation is a secret's rotation configuration, as the answers show it. It is replaced as a whole,
// so answers may keep its pointers.
type rotation struct {
	RotationEnabled   *bool          `json:",omitempty"` // nil if never configured
	RotationLambdaARN string         `json:",omitempty"`
	RotationRules     *rotationRules `json:",omitempty"`
	LastRotatedDate   epoch          `json:",omitzero"`
	NextRotationDate  epoch          `json:",omitzero"`
}

type rotationRules struct {
	AutomaticallyAfterDays int64  `json:",omitempty"`
	ScheduleExpression     string `json:",omitempty"`
	Duration               string `json:",omitempty"`
}

// EnableRotation gives a secret a rotation function and turns on its rotation every 30 days, which
// no API call of this endpoint can do. The function does nothing: RotateSecret succeeds and leaves
// the empty version with AWSPENDING that the service creates for the function to fill. It is an
// error if the secret does not exist.
func (s *Server) EnableRotation(secretID string) error {
	_, seen, err := locked(s.home(), &secretIDInput{secretID}, caller.enableRotation, true)
	if err != nil {
		return err
	}
	return s.save(seen)
}

func (s caller) enableRotation(in *secretIDInput) (none, error) {
	sec, err := s.live(in.SecretId)
	if err != nil {
		return none{}, err
	}
	on := true
	sec.Rotation = rotation{
		RotationEnabled:   &on,
		RotationLambdaARN: "arn:aws:lambda:" + s.region + ":" + s.account + ":function:idle",
		RotationRules:     &rotationRules{AutomaticallyAfterDays: 30},
		NextRotationDate:  s.instant() + 30*day,
	}
	s.changed(sec)
	return none{}, nil
}

type rotateSecretInput struct {
	SecretId, ClientRequestToken, RotationLambdaARN string
	RotationRules                                   *rotationRules
	RotateImmediately                               *bool
}

func (s caller) rotateSecret(in *rotateSecretInput) (versionIdentity, error) {
	var out versionIdentity
	if err := cmp.Or(checkID(in.SecretId), checkToken(in.ClientRequestToken, invalidParameter)); err != nil {
		return out, err
	}
	sec, err := s.writable(in.SecretId)
	if err != nil {
		return out, err
	}
	r := sec.Rotation
	switch {
	case in.RotationLambdaARN != "" && in.RotationLambdaARN != r.RotationLambdaARN:
		return out, errorf("AccessDeniedException", "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function "+
			"policy grants access to the principal secretsmanager.amazonaws.com.")
	case r.RotationLambdaARN == "":
		return out, errorf(invalidRequest, "No Lambda rotation function ARN is associated with this secret.")
	}
	on := true
	r.RotationEnabled = &on
	if in.RotationRules != nil {
		rules := *in.RotationRules
		r.RotationRules = &rules
	}
	r.NextRotationDate = 0 // this server does not evaluate schedule expressions
	if days := r.RotationRules.AutomaticallyAfterDays; days > 0 {
		r.NextRotationDate = s.instant() + epoch(days)*day
	}
	if in.RotateImmediately == nil || *in.RotateImmediately {
		holder := sec.LabelHolders[pending]
		if holder != "" && holder != sec.LabelHolders[current] && holder != in.ClientRequestToken {
			return out, errorf(invalidRequest, "A previous rotation isn't complete. That rotation will be reattempted.")
		}
		if sec.Versions[in.ClientRequestToken] == nil {
			sec.newVersion(in.ClientRequestToken, s.instant())
			sec.LabelHolders[pending] = in.ClientRequestToken
		}
	}
	sec.Rotation = r
	s.changed(sec)
	return versionIdentity{sec.identity(), in.ClientRequestToken}, nil
}

func (s caller) cancelRotateSecret(in *secretIDInput) (versionIdentity, error) {
	sec, err := s.writable(in.SecretId)
	if err != nil {
		return versionIdentity{}, err
	}
	if sec.Rotation.RotationEnabled == nil {
		return versionIdentity{}, errorf(invalidRequest, "Rotation is not configured for this secret.")
	}
	off := false
	sec.Rotation.RotationEnabled = &off
	sec.Rotation.NextRotationDate = 0
	s.changed(sec)
	return versionIdentity{sec.identity(), sec.LabelHolders[pending]}, nil
}
