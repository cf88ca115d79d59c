package memo

import (
	"errors"
	"slices"
	"testing"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/converter"
)

// codec reverses the bytes of every value, and counts its calls.
type codec struct {
	calls int
	down  bool
}

const encoding = "binary/reversed"

func (c *codec) Encode(payloads []*common.Payload) ([]*common.Payload, error) {
	out := make([]*common.Payload, len(payloads))
	for i, p := range payloads {
		data := slices.Clone(p.GetData())
		slices.Reverse(data)
		out[i] = &common.Payload{Metadata: map[string][]byte{converter.MetadataEncoding: []byte(encoding)}, Data: data}
	}
	return out, nil
}

func (c *codec) Decode(payloads []*common.Payload) ([]*common.Payload, error) {
	c.calls++
	if c.down {
		return nil, errors.New("the codec server does not answer")
	}
	out := slices.Clone(payloads)
	for i, p := range payloads {
		if string(p.GetMetadata()[converter.MetadataEncoding]) == encoding {
			data := slices.Clone(p.GetData())
			slices.Reverse(data)
			out[i] = &common.Payload{Metadata: map[string][]byte{converter.MetadataEncoding: []byte(converter.MetadataEncodingJSON)}, Data: data}
		}
	}
	return out, nil
}

// TestTexts checks memos written with and without a codec, read with and without it.
func TestTexts(t *testing.T) {
	t.Parallel()
	const key = "DeclaredBy"
	execution := func(dc converter.DataConverter, value any) *workflow.WorkflowExecutionInfo {
		payload, err := dc.ToPayload(value)
		if err != nil {
			t.Fatal(err)
		}
		return &workflow.WorkflowExecutionInfo{Memo: &common.Memo{Fields: map[string]*common.Payload{key: payload}}}
	}
	c := &codec{}
	withCodec := converter.NewCodecDataConverter(plain, c)
	without := &workflow.WorkflowExecutionInfo{}
	encoded, another, clear := execution(withCodec, "a tag"), execution(withCodec, "a file"), execution(plain, "a hand")
	tests := []struct {
		name       string
		converter  converter.DataConverter
		down       bool
		executions []*workflow.WorkflowExecutionInfo
		want       []string
		calls      int
	}{
		{"none", withCodec, false, []*workflow.WorkflowExecutionInfo{without}, []string{""}, 0},
		{"encoded", withCodec, false, []*workflow.WorkflowExecutionInfo{encoded, without, another}, []string{"a tag", "", "a file"}, 1},
		{"some encoded", withCodec, false, []*workflow.WorkflowExecutionInfo{encoded, clear}, []string{"a tag", "a hand"}, 1},
		{"no codec", plain, false, []*workflow.WorkflowExecutionInfo{encoded, clear}, []string{Unreadable, "a hand"}, 0},
		{"codec down", withCodec, true, []*workflow.WorkflowExecutionInfo{clear, encoded}, []string{"a hand", Unreadable}, 1},
		{"no text", plain, false, []*workflow.WorkflowExecutionInfo{execution(plain, 3), clear}, []string{Unreadable, "a hand"}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c.calls, c.down = 0, test.down
			if got := Texts(test.converter, test.executions, key); !slices.Equal(got, test.want) || c.calls != test.calls {
				t.Errorf("%q after %d calls: want %q after %d", got, c.calls, test.want, test.calls)
			}
		})
	}
}
