package audit_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"gatehouse/store"
	"gatehouse/store/storetest"
)

// TestAllStatementsPrepare: every statement of this package is right on both engines, with the rights of the handle.
func TestAllStatementsPrepare(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("*store.go")
	if err != nil {
		t.Fatal(err)
	}
	statement := regexp.MustCompile(`^\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\s`)
	var texts []string
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil && statement.MatchString(text) {
					texts = append(texts, text)
				}
			}
			return true
		})
	}
	if len(texts) < 15 {
		t.Fatalf("only %d statements were found", len(texts))
	}
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		db := newLog(t, source).DB()
		for _, text := range texts {
			if err := db.Prepare(t.Context(), text); err != nil {
				t.Error(err)
			}
		}
		if err := db.CheckVersions(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
