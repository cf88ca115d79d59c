package secretsmanager

import "cmp"

// maxLabels is the most labels that a version may have, and a call may name.
const maxLabels = 20

// checkLabels checks VersionStages. nil means that none were given.
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

type updateSecretVersionStageInput struct {
	SecretId, VersionStage, RemoveFromVersionId, MoveToVersionId string
}

func (s caller) updateSecretVersionStage(in *updateSecretVersionStageInput) (identity, error) {
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
		return identity{}, errorf(invalidParameter, "When you move staging label %s, if you specify RemoveFromVersionId, "+
			"it must be set to the version that currently has the staging label %s.", label, label)
	case to == "" && label == current:
		return identity{}, errorf(invalidParameter, "You can only move staging label %s to a different secret version. It can't be "+
			"completely removed.", label)
	case from == "" && holder != "" && holder != to:
		return identity{}, errorf(invalidParameter, "The parameter RemoveFromVersionId can't be empty. Staging label %s is currently "+
			"attached to version %s, so you must explicitly reference that version in RemoveFromVersionId.", label, holder)
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
