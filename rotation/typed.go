package rotation

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
)

// typed keeps what is wrong with JSON that a person typed, and which fields it has. encoding/json ignores unknown and
// misspelled names, which would turn a typo into a default.
type typed struct {
	err    error
	fields []string
}

// decode fills into as far as it can, and keeps what is wrong in t.err. It never fails.
func (t *typed) decode(data []byte, into any) error {
	*t = typed{}
	t.err = t.object(data, reflect.TypeOf(into).Elem(), "")
	if err := json.Unmarshal(data, into); err != nil && t.err == nil {
		t.err = describe(err)
	}
	return nil
}

func (t *typed) has(field string) bool { return slices.Contains(t.fields, field) }

// object checks that data is one JSON object, and that each of its names is a field of the struct and occurs once.
func (t *typed) object(data []byte, of reflect.Type, prefix string) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	open, err := dec.Token()
	if err != nil {
		return fmt.Errorf("the input is not JSON: %w", err)
	}
	if open != json.Delim('{') {
		if prefix != "" {
			return fmt.Errorf("%s: expected a JSON object", strings.TrimSuffix(prefix, "."))
		}
		return errors.New(`the input is not a JSON object: expected something like {"SecretId":"MySecret"}`)
	}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return fmt.Errorf("the input is not JSON: %w", err)
		}
		name := token.(string)
		field, ok := fieldNamed(of, name)
		if !ok {
			return fmt.Errorf("unknown field %q%s: the fields are %s", prefix+name, likely(of, name), strings.Join(fieldNames(of), ", "))
		}
		if t.has(prefix + name) {
			return fmt.Errorf("field %q is given twice", prefix+name)
		}
		t.fields = append(t.fields, prefix+name)
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return fmt.Errorf("%s: %w", prefix+name, err)
		}
		if string(value) == "null" {
			return fmt.Errorf("field %q is null: leave it out instead", prefix+name)
		}
		if err := t.value(value, field, prefix+name); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("the input is not JSON: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("the input continues after its JSON object: give one object only")
	}
	return nil
}

func (t *typed) value(value json.RawMessage, of reflect.Type, name string) error {
	if of.Kind() == reflect.Struct && !reflect.PointerTo(of).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return t.object(value, of, name+".")
	}
	if err := json.Unmarshal(value, reflect.New(of).Interface()); err != nil {
		return fmt.Errorf("%s: %w", name, describe(err))
	}
	return nil
}

func describe(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Errorf("%s is expected, not a JSON %s", kind(wrong.Type), wrong.Value)
	}
	return err
}

func kind(t reflect.Type) string {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return `a text such as "3h"`
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a text"
	case reflect.Slice:
		return "a list"
	default:
		return "a JSON object"
	}
}

func fieldNamed(of reflect.Type, name string) (reflect.Type, bool) {
	for f := range fields(of) {
		if jsonName(f) == name {
			return f.Type, true
		}
	}
	return nil, false
}

func fieldNames(of reflect.Type) []string {
	var all []string
	for f := range fields(of) {
		all = append(all, jsonName(f))
	}
	return all
}

func likely(of reflect.Type, name string) string {
	for _, n := range fieldNames(of) {
		if strings.EqualFold(n, name) {
			return fmt.Sprintf(" (do you mean %q?)", n)
		}
	}
	return ""
}

func fields(of reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range of.NumField() {
			f := of.Field(i)
			if f.Anonymous && f.Type.Kind() == reflect.Struct { // its fields are those of the object, too
				for inner := range fields(f.Type) {
					if !yield(inner) {
						return
					}
				}
				continue
			}
			if f.IsExported() && !yield(f) {
				return
			}
		}
	}
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}
