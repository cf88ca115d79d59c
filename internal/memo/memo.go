// Package memo reads the memos of workflows.
package memo

import (
	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/converter"
)

// Unreadable stands for a value that the converter cannot decode: it needs a codec server that is not configured or does not answer.
const Unreadable = "unreadable: the memo is encoded"

// Texts returns the text that the memo of each execution has under key: "" if it has none, and Unreadable if the converter cannot
// decode it. All values are decoded at once, because each call of a converter may be a request to a codec server.
func Texts(converter converter.DataConverter, executions []*workflow.WorkflowExecutionInfo, key string) []string {
	texts := make([]string, len(executions))
	var found []*common.Payload
	var into []*string
	for i, execution := range executions {
		if payload := execution.GetMemo().GetFields()[key]; payload != nil {
			found, into = append(found, payload), append(into, &texts[i])
		}
	}
	if len(found) == 0 || decode(converter, found, into) == nil {
		return texts
	}
	for i := range found { // one value that is not encoded as the others are must not hide them
		if decode(plain, found[i:i+1], into[i:i+1]) != nil {
			*into[i] = Unreadable
		}
	}
	return texts
}

var plain = converter.GetDefaultDataConverter()

func decode(converter converter.DataConverter, payloads []*common.Payload, into []*string) error {
	pointers := make([]any, len(into))
	for i, p := range into {
		pointers[i] = p
	}
	return converter.FromPayloads(&common.Payloads{Payloads: payloads}, pointers...)
}
