package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/rotate-user/rotate-user/rotation"
)

// The fields of a fleet file.
const (
	fileName     = "Name"
	fileDefaults = "Defaults"
	fileSecrets  = "Secrets"
)

// fleetFile is a parsed fleet file. Its name, which may be empty, distinguishes it from other files.
type fleetFile struct {
	name    string
	secrets []rotation.RotateUserInput
}

// fleetReader parses a fleet file. It continues after an error, so that one run reports all errors.
type fleetReader struct {
	name string
	errs []error
}

// fields are those of a mapping. at has the position of each field's name, by path, such as
// "RotationRules.Duration".
type fields struct {
	values map[string]any
	at     map[string]*yaml.Node
}

// readFleet parses a fleet file. Its inputs have the file's defaults filled in. Its errors name
// file, line and column.
func readFleet(name string, data []byte) (fleetFile, error) {
	r := &fleetReader{name: name}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return fleetFile{}, fmt.Errorf("%s is empty: write %s and, optionally, %s", name, fileSecrets, fileDefaults)
		}
		return fleetFile{}, fmt.Errorf("%s: %w", name, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return fleetFile{}, fmt.Errorf("%s has more than one document: write one", name)
	}
	f := r.file(document.Content[0])
	return f, errors.Join(r.errs...)
}

func (r *fleetReader) refuse(at *yaml.Node, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s:%d:%d: %s", r.name, at.Line, at.Column, fmt.Sprintf(format, args...)))
}

func (r *fleetReader) file(root *yaml.Node) (f fleetFile) {
	if root.Kind != yaml.MappingNode {
		r.refuse(root, "the file must be a mapping with %s and, optionally, %s", fileSecrets, fileDefaults)
		return f
	}
	defaults := fields{values: map[string]any{}, at: map[string]*yaml.Node{}}
	var secrets *yaml.Node
	for i := 0; i < len(root.Content); i += 2 {
		switch key, value := root.Content[i], root.Content[i+1]; key.Value {
		case fileName:
			if f.name = value.Value; value.Kind != yaml.ScalarNode || !fileNameIs.MatchString(f.name) {
				r.refuse(key, "%s must have 1 to 60 letters, digits, and any of . _ - /", fileName)
			}
		case fileDefaults:
			defaults = r.mapping(value)
		case fileSecrets:
			secrets = value
		default:
			r.refuse(key, "unknown field %q: the fields are %s, %s and %s", key.Value, fileName, fileDefaults, fileSecrets)
		}
	}
	if secrets == nil || secrets.Kind != yaml.SequenceNode {
		r.refuse(root, "%s is missing, or not a list", fileSecrets)
		return f
	}
	if at := defaults.at["SecretId"]; at != nil {
		r.refuse(at, "%s must not have a SecretId: give each secret its own", fileDefaults)
	}
	r.checkNames(defaults)
	seen := map[string]*yaml.Node{}
	for _, item := range secrets.Content {
		own := r.mapping(item)
		input, ok := r.input(item, own, defaults)
		if !ok {
			continue
		}
		if first := seen[input.SecretID]; first != nil {
			r.refuse(item, "secret %s is already in line %d", input.SecretID, first.Line)
			continue
		}
		seen[input.SecretID] = item
		f.secrets = append(f.secrets, input)
	}
	return f
}

var fileNameIs = regexp.MustCompile(`^[A-Za-z0-9._/-]{1,60}$`)

// checkNames reports unknown fields in the defaults once, rather than for each secret.
func (r *fleetReader) checkNames(f fields) {
	values := maps.Clone(f.values)
	values["SecretId"] = "any"
	if err := decodeInput(values, new(rotation.RotateUserInput)); err != nil {
		r.refuse(f.position(err, nil), "%s: %s", fileDefaults, err)
	}
}

// input adds the defaults to the fields of a secret. A field of the secret replaces the default as
// a whole.
func (r *fleetReader) input(item *yaml.Node, own, defaults fields) (input rotation.RotateUserInput, ok bool) {
	before := len(r.errs)
	if err := decodeInput(own.values, &input); err != nil && !strings.HasPrefix(err.Error(), "SecretId is required") {
		r.refuse(own.position(err, item), "%s", err)
		return input, false
	}
	joined := maps.Clone(defaults.values)
	maps.Copy(joined, own.values)
	input = rotation.RotateUserInput{}
	if err := decodeInput(joined, &input); err != nil && (before == 0 || strings.HasPrefix(err.Error(), "SecretId")) {
		r.refuse(own.position(err, item), "%s", err)
		return input, false
	}
	return input, len(r.errs) == before
}

func decodeInput(values map[string]any, input *rotation.RotateUserInput) error {
	data, err := json.Marshal(values)
	if err == nil {
		err = json.Unmarshal(data, input)
	}
	if err != nil {
		return err
	}
	return input.Validate()
}

// position returns the position of the innermost field that an error names, or otherwise if it
// names none.
func (f fields) position(err error, otherwise *yaml.Node) *yaml.Node {
	text, _, _ := strings.Cut(err.Error(), ": the fields are")
	best, length := otherwise, 0
	for _, path := range slices.Sorted(maps.Keys(f.at)) {
		named := !slices.ContainsFunc(strings.Split(path, "."), func(name string) bool { return !strings.Contains(text, name) })
		if named && len(path) > length || best == nil {
			best, length = f.at[path], len(path)
		}
	}
	if best == nil {
		return &yaml.Node{Line: 1, Column: 1}
	}
	return best
}

func (r *fleetReader) mapping(node *yaml.Node) fields {
	f := fields{values: map[string]any{}, at: map[string]*yaml.Node{}}
	if node.Kind != yaml.MappingNode {
		r.refuse(node, "expected fields, such as SecretId: shop/app")
		return f
	}
	f.values = r.object(node, "", f.at)
	return f
}

func (r *fleetReader) object(node *yaml.Node, prefix string, at map[string]*yaml.Node) map[string]any {
	values := map[string]any{}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		path := prefix + key.Value
		if _, twice := values[key.Value]; twice {
			r.refuse(key, "field %q occurs twice", path)
			continue
		}
		at[path] = key
		values[key.Value] = r.value(value, path+".", at)
	}
	return values
}

// value converts a node to what encoding/json would produce. Text that YAML takes for a date stays
// text.
func (r *fleetReader) value(node *yaml.Node, prefix string, at map[string]*yaml.Node) any {
	switch node.Kind {
	case yaml.MappingNode:
		return r.object(node, prefix, at)
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range node.Content {
			list = append(list, r.value(item, prefix, at))
		}
		return list
	case yaml.AliasNode:
		r.refuse(node, "aliases are not supported: write the value out, or put it into %s", fileDefaults)
		return nil
	}
	switch node.ShortTag() {
	case "!!int", "!!bool", "!!null":
		var v any
		if err := node.Decode(&v); err != nil {
			r.refuse(node, "%s", err)
		}
		return v
	}
	return node.Value
}

// writeFleet writes a fleet file.
func writeFleet(w io.Writer, inputs []rotation.RotateUserInput) error {
	data, err := json.Marshal(map[string]any{fileSecrets: inputs})
	if err != nil {
		return err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return err
	}
	plainStyle(&document)
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(&document); err != nil {
		return err
	}
	return encoder.Close()
}

// plainStyle makes a node print as block-style YAML rather than as JSON.
func plainStyle(node *yaml.Node) {
	node.Style = 0
	for _, child := range node.Content {
		plainStyle(child)
	}
}
