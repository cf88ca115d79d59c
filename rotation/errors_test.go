package rotation_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestEveryErrorTypeIsListed checks that importers can name the reason for every refusal, and that
// the reference explains every type.
func TestEveryErrorTypeIsListed(t *testing.T) {
	t.Parallel()
	reasons, types := constants(t, "../internal/grants/refusal.go"), constants(t, "errors.go")
	reference, err := os.ReadFile("../docs/reference.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for name, value := range types {
		if reason, ok := strings.CutPrefix(value, "grants."); ok {
			listed[reason] = true
			value = reasons[reason]
		}
		if !strings.Contains(string(reference), "`"+value+"`") {
			t.Errorf("docs/reference.md does not explain %s, which is %q", name, value)
		}
	}
	for reason := range reasons {
		if !listed[reason] {
			t.Errorf("errors.go does not list grants.%s", reason)
		}
	}
	if len(reasons) < 30 || len(types) < 60 {
		t.Errorf("%d reasons and %d types were found", len(reasons), len(types))
	}
}

// constants returns the constants of a file: their values, or "grants." and the name that they stand for.
func constants(t *testing.T, file string) map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, d := range parsed.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, s := range group.Specs {
			c := s.(*ast.ValueSpec)
			switch v := c.Values[0].(type) {
			case *ast.BasicLit:
				all[c.Names[0].Name], _ = strconv.Unquote(v.Value)
			case *ast.SelectorExpr:
				all[c.Names[0].Name] = "grants." + v.Sel.Name
			}
		}
	}
	return all
}
