package workflows

import (
	"cmp"
	"slices"

	"github.com/rotate-user/rotate-user/rotation"
)

func (r *rotator) rotationStatus() rotation.RotationStatus {
	switch {
	case r.failing() != nil:
		return rotation.Retrying
	case r.current != nil:
		return rotation.Rotating
	case r.asked.stop:
		return rotation.Stopped
	case r.paused():
		return rotation.Paused
	case len(r.Rotations) > 0 && r.Rotations[0].Error != "":
		return rotation.Failed
	default:
		return rotation.Scheduled
	}
}

// failing returns the step of the rotation in progress that has failed and is retried, nil if there is none.
func (r *rotator) failing() *rotation.Step {
	if r.current == nil || len(r.current.Steps) == 0 {
		return nil
	}
	if s := &r.current.Steps[len(r.current.Steps)-1]; s.Error != "" {
		return s
	}
	return nil
}

func (r *rotator) status() rotation.Status {
	s := rotation.Status{
		SecretID:        r.input.SecretID,
		MasterSecretID:  r.input.MasterSecretID,
		RotationStatus:  r.rotationStatus(),
		RotationRules:   r.input.Rules(),
		LastRotatedDate: r.LastRotatedDate,
		DatabaseHost:    r.DatabaseHost,
		PasswordExpires: r.PasswordExpires,
		Input:           r.input.Complete(),
		Digest:          r.Digest,
		Held:            r.Held,
		Stopping:        r.asked.stop && r.current != nil,
		Requested:       r.Requested,
		RequestDue:      r.RequestDue,
		Requests:        r.Requests,
		Reset:           r.reset,
		Warnings:        slices.Concat(r.openAccounts(), r.warnings),
		SecretARN:       r.SecretARN,
		Left:            r.Left,
		Deleted:         r.Deleted,
		Current:         r.current,
		Rotations:       r.Rotations,
	}
	if !r.paused() && !r.asked.stop {
		s.NextRotationDate = r.NextRotationDate
	}
	if len(r.Usernames) == 2 {
		s.Username, s.StandbyUsername = r.Usernames[0], r.Usernames[1]
		pair := r.pair()
		s.Pair = &pair
	}
	if r.SeenUsername != "" && r.SeenUsername != s.Username {
		s.Username, s.StandbyUsername = r.SeenUsername, ""
	}
	if promoted := r.current.Promotion(); promoted != nil { // only the revocation remains, which may be hours away
		s.LastRotatedDate, s.PasswordExpires = promoted.EndedAt, r.expires
		if s.StandbyUsername == r.current.Username {
			s.Username, s.StandbyUsername = s.StandbyUsername, s.Username
		}
		if promoted == &r.current.Steps[len(r.current.Steps)-1] {
			s.PreviousUntil = r.revokesAt
		}
	}
	return s
}

// pair returns what is known of the pair. It has no user names before the first rotation has read the secret.
func (r *rotator) pair() rotation.KnownPair {
	return rotation.KnownPair{Usernames: r.Usernames, Server: r.DatabaseHost, MasterSecretID: cmp.Or(r.MasterKnown, r.input.MasterSecretID),
		Stored: r.Stored}
}
