package main

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/rotate-user/rotate-user/rotation"
)

// listFilter selects secrets. Its zero value selects all.
type listFilter struct {
	status          rotation.RotationStatus
	host, errorType string
	overdue         bool
	olderThan       rotation.Duration
}

// check rejects values that no secret could match. It also ensures that every value can be part of
// a query without quoting.
func (f *listFilter) check() error {
	if f.status != "" && !slices.Contains(allStatuses, f.status) {
		return fmt.Errorf("--status is %q: must be Scheduled, Rotating, Retrying, Failed or Paused", f.status)
	}
	if strings.ContainsFunc(f.host, func(r rune) bool { return r <= ' ' || strings.ContainsRune("'\"\\`", r) }) {
		return fmt.Errorf("--host is %q: must be a host name or address, with or without a port", f.host)
	}
	if strings.ContainsFunc(f.errorType, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') }) {
		return fmt.Errorf("--error-type is %q: must be a word such as AccessDenied", f.errorType)
	}
	return nil
}

// query returns the filter as conditions on search attributes, to be appended to other conditions.
// It also lets workflows without a status through, which have none of the attributes: they are
// queried later.
func (f *listFilter) query(now time.Time) string {
	status := rotation.RotationStatusKey.GetName()
	var all []string
	if f.status != "" {
		all = append(all, fmt.Sprintf("%s = '%s'", status, f.status))
	}
	if address, whole := f.address(); whole {
		all = append(all, fmt.Sprintf("%s = '%s'", rotation.DatabaseHostKey.GetName(), address))
	} else if address != "" {
		all = append(all, fmt.Sprintf("%s STARTS_WITH '%s'", rotation.DatabaseHostKey.GetName(), address))
	}
	if f.errorType != "" { // a step being retried has no type in visibility
		all = append(all, fmt.Sprintf("(%s = '%s' OR %s IN ('%s', '%s', '%s'))", rotation.RotationErrorKey.GetName(), f.errorType,
			status, rotation.Rotating, rotation.Retrying, rotation.Failed))
	}
	if f.overdue {
		all = append(all, fmt.Sprintf("%s < '%s'", rotation.NextRotationDateKey.GetName(), now.Add(-rotation.OverdueAfter).Format(time.RFC3339)))
	}
	if f.olderThan > 0 {
		last := rotation.LastRotatedDateKey.GetName()
		all = append(all, fmt.Sprintf("(%s < '%s' OR %s IS NULL)", last, now.Add(-time.Duration(f.olderThan)).Format(time.RFC3339), last))
	}
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprintf(" AND (%s IS NULL OR %s)", status, strings.Join(all, " AND "))
}

// address returns the server of the filter as DatabaseHost has it, and reports whether it is
// complete. Without a port, it is only the beginning.
func (f *listFilter) address() (address string, whole bool) {
	if f.host == "" {
		return "", false
	}
	if host, port, err := net.SplitHostPort(f.host); err == nil {
		return net.JoinHostPort(host, port), true
	}
	return net.JoinHostPort(strings.Trim(f.host, "[]"), ""), false
}

func (f *listFilter) matches(r listed, now time.Time) bool {
	address, whole := f.address()
	return (f.status == "" || r.RotationStatus == f.status) &&
		(!whole || r.DatabaseHost == address) && strings.HasPrefix(r.DatabaseHost, address) &&
		(f.errorType == "" || slices.Contains(r.errorTypes(), f.errorType)) &&
		(!f.overdue || r.Overdue) &&
		(f.olderThan == 0 || r.RotationStatus != "" && now.Sub(r.LastRotatedDate) > time.Duration(f.olderThan))
}

var allStatuses = []rotation.RotationStatus{rotation.Scheduled, rotation.Rotating, rotation.Retrying, rotation.Failed, rotation.Paused}
