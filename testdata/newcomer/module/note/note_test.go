package note_test

import (
	"fmt"
	"testing"

	"gatehouse/gatetest"
	"gatehouse/module/note"
	"gatehouse/outcome"
)

func TestNotesAreTheirOwners(t *testing.T) {
	t.Parallel()
	h := gatetest.New(t, note.New)
	ann, bob := h.Person("ann", "note.read", "note.write"), h.Person("bob", "note.read", "note.write")
	made, _ := ann.MustCall("note.write", `{"text":"buy milk"}`).Member("id")
	for _, tt := range []struct {
		name, tool, args string
		who              gatetest.Person
		want             outcome.Code
	}{
		{"owner reads", "note.read", `{"id":%s}`, ann, outcome.OK},
		{"stranger reads", "note.read", `{"id":%s}`, bob, outcome.NotFound},
		{"older version", "note.write", `{"id":%s,"version":7,"text":"x"}`, ann, outcome.Conflict},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.who.Call(tt.tool, fmt.Sprintf(tt.args, made)); got.Code != tt.want {
				t.Errorf("%s: %s (%s), want %s", tt.tool, got.Code, got.Reason, tt.want)
			}
		})
	}
}
