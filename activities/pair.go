package activities

import (
	"slices"
	"strings"

	"github.com/rotate-user/rotate-user/internal/grants"
	"github.com/rotate-user/rotate-user/rotation"
)

// cloneSuffix makes the name of the second account. AWS's own function uses the same, so that a
// secret can be taken over from it and handed back.
const cloneSuffix = "_clone"

// pair is what is known about a secret's two users.
type pair struct {
	// Current and Previous are the users of AWSCURRENT and AWSPREVIOUS.
	Current, Previous string
	// CloneUsername is from the workflow's input.
	CloneUsername string
	// Known are the two users between which this workflow has already rotated.
	Known []string
}

// ownedByWorkflow reports whether the workflow itself knows that an account is the other one of the
// pair. A name in a secret is not enough evidence to replace the account's password.
func (p pair) ownedByWorkflow(standby string) bool {
	return slices.Contains(p.Known, p.Current) && slices.Contains(p.Known, standby) ||
		p.CloneUsername == standby || p.CloneUsername == p.Current && p.Current == standby+cloneSuffix
}

// isBase reports whether the standby has the base name of the pair, the one that people and their
// tools know, and the current user is its clone.
func (p pair) isBase(standby string) bool {
	if standby == p.Current+cloneSuffix {
		return false
	}
	return p.Current == standby+cloneSuffix || p.Current == p.CloneUsername && p.Current != standby
}

// standby returns the other user of the pair. owned reports whether there is evidence that an
// account of that name is the other one. Anyone who can edit a secret could name any account in it,
// so a name in a secret counts only if it is the current user's with "_clone" added or removed. Any
// other evidence must come from the workflow.
func (p pair) standby(secretName string) (user string, owned bool, err error) {
	if len(p.Known) == 2 && p.Known[0] != "" && p.Known[1] != "" {
		switch p.Current {
		case p.Known[0]:
			return p.Known[1], true, nil
		case p.Known[1]:
			return p.Known[0], true, nil
		}
	}
	if p.CloneUsername != "" && p.CloneUsername != p.Current {
		return p.CloneUsername, true, nil
	}
	if p.Previous != "" && (p.Previous == p.Current+cloneSuffix || p.Current == p.Previous+cloneSuffix) {
		return p.Previous, true, nil
	}
	stripped, isClone := strings.CutSuffix(p.Current, cloneSuffix)
	if !isClone && p.CloneUsername == "" {
		return p.Current + cloneSuffix, false, nil
	}
	if isClone && p.CloneUsername == p.Current {
		return stripped, true, nil
	}
	if isClone {
		return "", false, refuse(rotation.ErrorUnknownPair, "secret %s is for user %s, and nothing says what the other account of the pair is:"+
			" set CloneUsername to %q if it is %[3]s, or to %[2]q if %[2]s is the clone", secretName, p.Current, stripped)
	}
	return "", false, refuse(rotation.ErrorUnknownPair,
		"CloneUsername %[2]s is the user of secret %[1]s: set it to the other account of the pair",
		secretName, p.Current)
}

// hasSet reports whether the workflow itself set the password that the server stores for an
// account. If so, nothing else uses the account.
func hasSet(p rotation.KnownPair, s grants.Stored) bool {
	digest := p.Stored[s.Account.User]
	return digest != "" && digest == s.Digest()
}
