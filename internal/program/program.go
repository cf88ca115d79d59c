// Package program holds what the command lines of the worker and the starter have in common.
package program

import (
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The exit codes that both programs use. A command that has more of them lists them in its own help.
const (
	Done       = 0
	Failed     = 1
	WrongUsage = 2
)

// ExitCodes describes the exit codes in the help of both programs.
const ExitCodes = "Exit codes: 0 success, 1 refused or failed, 2 wrong usage."

// Version describes the running binary: the version of the module, and the Go release that built it.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return version(info)
}

// version prefers the version that the go command derives from a tag or a commit. A build outside a git checkout has none.
func version(info *debug.BuildInfo) string {
	v := info.Main.Version
	if v == "" || v == "(devel)" {
		v = "development build"
	}
	return v + ", " + info.GoVersion
}

// IsBuiltIn reports whether cobra added the flag to a command. Such a flag configures nothing, so
// it has no environment variable.
func IsBuiltIn(f *pflag.Flag) bool { return f.Name == "help" || f.Name == "version" }

// Complete makes the shell offer the values of a flag.
func Complete(cmd *cobra.Command, flag string, values ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag does not exist, or has completions already
	}
}
