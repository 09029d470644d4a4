package upstream_test

import (
	"slices"
	"testing"

	"gatehouse/module/upstream"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

func TestBook(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		ctx := t.Context()
		db, err := store.Open(ctx, store.Config{Source: source, Name: "upstream", Migrations: upstream.Migrations, Migrate: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		open := func(server, identity string) upstream.Book {
			b, err := upstream.OpenBook(ctx, db, server, identity)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		text := func(name, description string) string {
			return `{"description":"` + description + `","name":"` + name + `"}`
		}
		one := open("files", "argv1")
		must(one.See(ctx, map[string]string{"read": "a", "write": "b"}))
		must(one.Accept(ctx, "read", "a"))
		other := open("files", "argv1") // another process on the same tables
		must(other.See(ctx, map[string]string{"read": "A", "list": "c"}))
		must(one.Accept(ctx, "list", "c")) // it hears of what the other wrote
		must(one.Accept(ctx, "list", "c"))
		want := map[string][2]string{
			"read": {text("read", "A"), text("read", "a")},
			"list": {text("list", "c"), text("list", "c")},
		}
		for name, b := range map[string]upstream.Book{"here": one, "on disk": open("files", "argv1")} {
			got := b.Known()
			if len(got) != len(want) {
				t.Errorf("%s: %v", name, got)
			}
			for tool, w := range want {
				if got[tool] != w {
					t.Errorf("%s: %s is %q, want %q", name, tool, got[tool], w)
				}
			}
		}
		// What is gone stays if it was used, and is not offered.
		must(one.See(ctx, map[string]string{"read": "A"}))
		last := open("files", "argv1")
		if got := last.Definitions(); !slices.Equal(got, []string{"read"}) {
			t.Errorf("offered after a start: %q", got)
		}
		if got := last.Known()["list"]; got != [2]string{"", text("list", "c")} {
			t.Errorf("what is gone is %q", got)
		}
		// Another command and another server know nothing of it.
		for _, b := range []upstream.Book{open("files", "argv2"), open("other", "argv1")} {
			if got := b.Definitions(); len(got) != 0 {
				t.Errorf("offered: %q", got)
			}
			for tool, k := range b.Known() {
				if k != [2]string{} {
					t.Errorf("%s is %q", tool, k)
				}
			}
		}
		changed := open("files", "argv2")
		must(changed.See(ctx, map[string]string{"read": "A"}))
		if got := open("files", "argv2").Known(); got["read"] != [2]string{text("read", "A"), ""} || len(got) != 1 {
			t.Errorf("after the command changed: %q", got)
		}
	})
}
