package rotation

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rotate-user/rotate-user/internal/plaintext"
)

// SyncFleetWorkflow keeps the running rotations in step with the tags of secrets. It takes a
// SyncFleetInput.
const SyncFleetWorkflow = "SyncFleetWorkflow"

// SyncUpdate makes SyncFleetWorkflow check the tags now. It takes a SyncRequest and returns a
// FleetStatus, as StatusQuery does.
const SyncUpdate = "sync"

// FleetTag is the key of the tag that SyncFleetWorkflow looks for by default.
const FleetTag = "rotate-user"

// SyncFleetWorkflowID returns the id of the workflow that watches a tag. There is one for each tag
// and task queue of a worker, that is, for each account and region.
func SyncFleetWorkflowID(taskQueue, tag string) string {
	if taskQueue == TaskQueue {
		return "sync-fleet/" + tag
	}
	return "sync-fleet/" + taskQueue + "/" + tag
}

// SyncFleetInput says which tag to watch, and how to rotate the secrets that have it. All fields
// are optional.
type SyncFleetInput struct {
	// Tag is the key of the tag, by default FleetTag. The tag's value is the secret's schedule; see
	// ParseTag.
	Tag string `json:"Tag,omitempty"`
	// Every is how often to check the tags, by default 1h.
	Every *Duration `json:"Every,omitempty"`
	// Over is the time over which the first rotations of secrets are spread, by default 7d. With
	// "0s", each secret is rotated at once.
	Over *Duration `json:"Over,omitempty"`
	// AtOnce is how many rotations are started together, by default 20. The next ones follow after
	// ten seconds.
	AtOnce int `json:"AtOnce,omitempty"`
	// Defaults are the fields that all rotations share. The tag provides SecretId and the rules
	// except Duration.
	Defaults RotateUserInput `json:"Defaults,omitzero"`

	typed typed
}

// UnmarshalJSON records what is wrong with the text, for Validate to report.
func (in *SyncFleetInput) UnmarshalJSON(data []byte) error {
	type plain SyncFleetInput
	return in.typed.decode(data, (*plain)(in))
}

const (
	defaultEvery  = time.Hour
	defaultOver   = 7 * 24 * time.Hour
	defaultAtOnce = 20

	minEvery  = time.Minute
	maxEvery  = 30 * 24 * time.Hour
	maxAtOnce = 200
	maxTag    = 128 // characters in a tag's key
)

// Validate returns an error that names the first wrong field, if any.
func (in SyncFleetInput) Validate() error {
	if in.typed.err != nil {
		return in.typed.err
	}
	if len(in.Tag) > maxTag || plaintext.Line(in.Tag) != in.Tag {
		return fmt.Errorf("Tag is %q: must be the key of a tag, with at most %d characters", plaintext.Cut(in.Tag, 200), maxTag)
	}
	if every := in.Interval(); every < minEvery || every > maxEvery {
		return fmt.Errorf("Every is %s: must be 1m to 30d", Duration(every))
	}
	if n := in.AtOnce; n < 0 || n > maxAtOnce {
		return fmt.Errorf("AtOnce is %d: must be 1 to %d", n, maxAtOnce)
	}
	d := in.Defaults
	if d.SecretID != "" || d.RotationRules.AutomaticallyAfterDays != 0 || d.RotationRules.ScheduleExpression != "" {
		return errors.New("Defaults: the tag provides SecretId, AutomaticallyAfterDays and ScheduleExpression: leave them out")
	}
	if _, _, err := in.Rotation("any-secret-of-the-fleet", ""); err != nil {
		return fmt.Errorf("Defaults: %w", err)
	}
	return nil
}

// Key returns the key of the tag.
func (in SyncFleetInput) Key() string {
	if in.Tag == "" {
		return FleetTag
	}
	return in.Tag
}

// Interval returns how often to check the tags.
func (in SyncFleetInput) Interval() time.Duration {
	if in.Every == nil {
		return defaultEvery
	}
	return time.Duration(*in.Every)
}

// Batch returns how many rotations are started together.
func (in SyncFleetInput) Batch() int {
	if in.AtOnce == 0 {
		return defaultAtOnce
	}
	return in.AtOnce
}

// Rotation returns the input for a secret whose tag has the given value. off reports whether the
// tag says not to rotate the secret.
func (in SyncFleetInput) Rotation(secretID, value string) (input RotateUserInput, off bool, err error) {
	rules, off, err := ParseTag(value)
	if off || err != nil {
		return RotateUserInput{}, off, err
	}
	input = in.Defaults
	input.SecretID = secretID
	rules.Duration = in.Defaults.RotationRules.Duration
	input.RotationRules = rules
	if input.RotateImmediately == nil {
		over := Duration(defaultOver)
		if in.Over != nil {
			over = *in.Over
		}
		input.FirstRotationWithin = over
	}
	return input, false, input.Validate()
}

// TaggedSecret is a secret that has the tag of a fleet.
type TaggedSecret struct {
	// Name is the secret's friendly name.
	Name  string `json:"Name"`
	ARN   string `json:"ARN"`
	Value string `json:"Value"` // the tag's value
	// Deleted reports whether the secret is scheduled for deletion.
	Deleted bool `json:"Deleted,omitempty"`
}

// ListSecretsInput requests one page of the secrets that have a tag.
type ListSecretsInput struct {
	Tag       string `json:"Tag"`
	NextToken string `json:"NextToken,omitempty"`
}

// ListSecretsResult is one page. NextToken is empty on the last page.
type ListSecretsResult struct {
	Secrets   []TaggedSecret `json:"Secrets"`
	NextToken string         `json:"NextToken,omitempty"`
}

// ListRotationsInput requests one page of the running rotations.
type ListRotationsInput struct {
	// Query is a further condition, in the query language of Temporal's visibility.
	Query         string `json:"Query,omitempty"`
	NextPageToken []byte `json:"NextPageToken,omitempty"`
}

// ListRotationsResult is one page. NextPageToken is empty on the last page.
type ListRotationsResult struct {
	// SecretIDs are the secrets as the ids of their workflows name them. Hosts has the database
	// host of each, if known.
	SecretIDs []string `json:"SecretIds"`
	Hosts     []string `json:"Hosts,omitempty"`
	// DeclaredBy has the DeclaredByMemo of each.
	DeclaredBy    []string `json:"DeclaredBy,omitempty"`
	NextPageToken []byte   `json:"NextPageToken,omitempty"`
}

// SyncRequest is the optional argument of SyncUpdate.
type SyncRequest struct {
	// Input replaces the workflow's input, except for its Tag.
	Input *SyncFleetInput `json:"Input,omitempty"`

	typed typed
}

// UnmarshalJSON records what is wrong with the text, for Validate to report.
func (q *SyncRequest) UnmarshalJSON(data []byte) error {
	type plain SyncRequest
	return q.typed.decode(data, (*plain)(q))
}

// Validate returns an error that names the first wrong field, if any.
func (q SyncRequest) Validate() error {
	if q.typed.err != nil {
		return q.typed.err
	}
	if q.Input == nil {
		return nil
	}
	return q.Input.Validate()
}

// FleetState is what one run of SyncFleetWorkflow passes to the next. New fields must be optional.
type FleetState struct {
	// NextPass is when to check the tags again.
	NextPass time.Time `json:"NextPass,omitzero"`
	// Managed are the secrets whose rotation the workflow has started or rescheduled.
	Managed map[string]Managed `json:"Managed,omitempty"`
	// LastPass is the last check of the tags.
	LastPass *FleetPass `json:"LastPass,omitempty"`
}

// Managed is what a fleet knows about one secret.
type Managed struct {
	// Schedule is a fingerprint of the rotation's schedule.
	Schedule string `json:"Schedule,omitempty"`
	// Missing reports whether the last check did not find the tag. Because Secrets Manager's lists
	// are eventually consistent, the rotation is stopped only if the next check does not find it
	// either.
	Missing bool `json:"Missing,omitempty"`
}

// FleetPass is one check of the tags, and what it led to.
type FleetPass struct {
	StartedAt time.Time `json:"StartedAt"`
	EndedAt   time.Time `json:"EndedAt,omitzero"`
	// Tagged is how many secrets have the tag, and Off how many of them have the value off.
	Tagged int `json:"Tagged"`
	Off    int `json:"Off,omitempty"`
	// Unchanged is how many rotations already matched their tags. The others were started,
	// rescheduled or stopped. Deferred is how many changes are left to the next pass.
	Unchanged   int `json:"Unchanged"`
	Started     int `json:"Started,omitempty"`
	Rescheduled int `json:"Rescheduled,omitempty"`
	Stopped     int `json:"Stopped,omitempty"`
	Deferred    int `json:"Deferred,omitempty"`
	// Changes describes the first hundred changes, one per line.
	Changes []string `json:"Changes,omitempty"`
	// Elsewhere is how many tagged secrets have a rotation that this tag does not declare, so that it
	// was not changed. Skips describes the first hundred of them, one per line.
	Elsewhere int      `json:"Elsewhere,omitempty"`
	Skips     []string `json:"Skips,omitempty"`
	// Failed is how many secrets have an invalid tag, or a rotation that could not be changed.
	// Problems describes the first hundred of them, one per line.
	Failed   int      `json:"Failed,omitempty"`
	Problems []string `json:"Problems,omitempty"`
	// Error and ErrorType say why the tags could not be listed, in which case nothing was changed.
	Error     string `json:"Error,omitempty"`
	ErrorType string `json:"ErrorType,omitempty"`
}

// String describes the pass in one line.
func (p FleetPass) String() string {
	if p.Error != "" {
		return "nothing was changed: " + p.Error
	}
	text := fmt.Sprintf("%s tagged: %d started, %d rescheduled, %d stopped, %d unchanged",
		plaintext.Count(p.Tagged, "secret"), p.Started, p.Rescheduled, p.Stopped, p.Unchanged)
	if p.Off > 0 {
		text += fmt.Sprintf(", %d off", p.Off)
	}
	if p.Elsewhere > 0 {
		text += fmt.Sprintf(", %d declared elsewhere", p.Elsewhere)
	}
	if p.Failed > 0 {
		text += fmt.Sprintf(", %d failed", p.Failed)
	}
	if p.Deferred > 0 {
		text += fmt.Sprintf(", %d deferred", p.Deferred)
	}
	return text
}

// FleetStatus is a SyncFleetWorkflow's answer to StatusQuery.
type FleetStatus struct {
	Tag      string    `json:"Tag"`
	Managed  int       `json:"Managed"`
	NextPass time.Time `json:"NextPass,omitzero"`
	// InProgress reports whether a pass is in progress. Then LastPass is that pass, and otherwise
	// the last one.
	InProgress bool            `json:"InProgress,omitempty"`
	LastPass   *FleetPass      `json:"LastPass,omitempty"`
	Input      *SyncFleetInput `json:"Input,omitempty"`
}

var errTag = errors.New(`write "30d", "12h", "rate(10 days)", "cron(0 8 ? * MON *)" or "off"; ` +
	`if brackets and stars are not allowed in the tag, write "rate 10 days" and "cron 0 8 none any MON any"`)

// ParseTag parses the value of a fleet's tag. "30d" and "12h" are rates, "rate(10 days)" and
// "cron(0 8 ? * MON *)" are as in Secrets Manager, "off" means no rotation, and an empty value
// means every 30 days. AWS recommends a small set of characters in tags, and Terraform and other
// tools enforce it. So the brackets may be left out, and in a cron expression "any" stands for *,
// "none" for ?, + for a comma and : for #.
func ParseTag(value string) (rules RotationRules, off bool, err error) {
	text := strings.TrimSpace(value)
	refuse := func(err error) (RotationRules, bool, error) {
		return RotationRules{}, false, fmt.Errorf("the tag's value is %q: %w", plaintext.Cut(plaintext.Line(value), 100), err)
	}
	word, rest, found := strings.Cut(text, " ")
	switch {
	case text == "":
		rules.AutomaticallyAfterDays = defaultDays
	case strings.EqualFold(text, "off"):
		return RotationRules{}, true, nil
	case strings.Contains(text, "("):
		rules.ScheduleExpression = text
	case found && word == "rate":
		rules.ScheduleExpression = "rate(" + rest + ")"
	case found && word == "cron":
		fields := strings.Fields(rest)
		for i, field := range fields {
			fields[i] = plainCron.Replace(field)
		}
		rules.ScheduleExpression = "cron(" + strings.Join(fields, " ") + ")"
	default:
		d, err := ParseDuration(text)
		switch length := time.Duration(d); {
		case err != nil:
			return refuse(errTag)
		case strings.HasSuffix(text, "d") && length%(24*time.Hour) == 0:
			rules.AutomaticallyAfterDays = int(length / (24 * time.Hour))
		case strings.HasSuffix(text, "h") && length%time.Hour == 0:
			rules.ScheduleExpression = fmt.Sprintf("rate(%d hours)", length/time.Hour)
		default:
			return refuse(errTag)
		}
	}
	if err := rules.Validate(); err != nil {
		return refuse(err)
	}
	return rules, false, nil
}

var plainCron = strings.NewReplacer("any", "*", "none", "?", "+", ",", ":", "#")
