package main

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/rotate-user/rotate-user/rotation"
)

// startCommandFor returns the command that starts the rotation of a secret with an input, which is nil if unknown.
func startCommandFor(secretID string, in *rotation.RotateUserInput) string {
	command := "starter start --secret-id " + secretID
	if in == nil {
		return command
	}
	add := func(flag, value string) {
		if value != "" {
			command += " --" + flag + " " + value
		}
	}
	add("master-secret-id", in.MasterSecretID)
	if s := in.MasterServer; s.MasterHost != "" {
		add("master-host", quoted(s.MasterHost))
		add("master-port", strconv.Itoa(s.MasterPort))
		add("master-engine", s.MasterEngine)
	}
	add("clone-username", quoted(in.CloneUsername))
	command += scheduleFlagsOf(*in)
	if in.MinimumOverlap != nil && time.Duration(*in.MinimumOverlap) != time.Hour {
		add("minimum-overlap", in.MinimumOverlap.String())
	}
	if in.Drain != 0 {
		add("drain", in.Drain.String())
	}
	if in.RequireDrained {
		command += " --require-drained"
	}
	if in.RequireAllNodes {
		command += " --require-all-nodes"
	}
	add("test-endpoints", quoted(strings.Join(in.TestEndpoints, ",")))
	add("proxy-secret-ids", quoted(strings.Join(in.ProxySecretIDs, ",")))
	add("activity-task-queue", quoted(in.ActivityTaskQueue))
	return command
}

// scheduleFlagsOf returns the options for the schedule of an input.
func scheduleFlagsOf(in rotation.RotateUserInput) string {
	var b strings.Builder
	r := in.RotationRules
	if r.ScheduleExpression != "" {
		fmt.Fprintf(&b, " --schedule-expression '%s'", r.ScheduleExpression)
	}
	if r.AutomaticallyAfterDays != 0 {
		fmt.Fprintf(&b, " --automatically-after-days %d", r.AutomaticallyAfterDays)
	}
	if r.Duration != "" {
		fmt.Fprintf(&b, " --duration %s", r.Duration)
	}
	if in.TimeZone != "" {
		fmt.Fprintf(&b, " --time-zone %s", in.TimeZone)
	}
	for _, entry := range in.Blackout {
		fmt.Fprintf(&b, " --blackout %s", quoted(entry))
	}
	if in.Blackout != nil && len(in.Blackout) == 0 {
		b.WriteString(" --blackout none")
	}
	return b.String()
}

// masterServer describes a server in the words of the flags. It is empty if there is none.
func masterServer(s rotation.MasterServer) string {
	if s == (rotation.MasterServer{}) {
		return ""
	}
	return s.MasterEngine + " at " + net.JoinHostPort(s.MasterHost, strconv.Itoa(s.MasterPort))
}
