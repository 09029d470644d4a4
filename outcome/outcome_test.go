package outcome_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"gatehouse/outcome"
)

func TestEveryCodeHasItsOwnName(t *testing.T) {
	t.Parallel()
	seen := map[string]outcome.Code{}
	for _, c := range outcome.All() {
		if c.String() == "" {
			t.Errorf("code %d has no name", c)
		}
		if other, ok := seen[c.String()]; ok {
			t.Errorf("codes %d and %d are both named %q", c, other, c)
		}
		seen[c.String()] = c
		if got, ok := outcome.Parse(c.String()); !ok || got != c {
			t.Errorf("Parse(%q) = %v, %v", c, got, ok)
		}
	}
	if len(seen) != 19 {
		t.Errorf("%d codes, want 19: the entries' tables and docs/rest.md list them", len(seen))
	}
	if _, ok := outcome.Parse("OK"); ok {
		t.Error("Parse folds case")
	}
}

func TestOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		err  error
		want outcome.Code
	}{
		{"nothing went wrong", nil, outcome.OK},
		{"a bare code", outcome.NotFound, outcome.NotFound},
		{"a code with a reason", outcome.Conflict.Because("read it again"), outcome.Conflict},
		{"wrapped twice", fmt.Errorf("a: %w", fmt.Errorf("b: %w", outcome.Limited.Because("later"))), outcome.Limited},
		{"a wrapped bare code", fmt.Errorf("reading: %w", outcome.Unavailable), outcome.Unavailable},
		{"a deadline", fmt.Errorf("x: %w", context.DeadlineExceeded), outcome.Timeout},
		{"a cancelled context", context.Canceled, outcome.Cancelled},
		{"anything else", errors.New("boom"), outcome.Internal},
		{"a code wins over its cause", outcome.Unknown.From(context.DeadlineExceeded, "it may have happened"), outcome.Unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := outcome.Of(tt.err); got != tt.want {
				t.Errorf("Of(%v) = %s, want %s", tt.err, got, tt.want)
			}
		})
	}
}

func TestExplainHidesWhatHasNoCode(t *testing.T) {
	t.Parallel()
	e := outcome.Explain(errors.New("password is hunter2"))
	if e.Code != outcome.Internal || e.Reason != "" {
		t.Errorf("Explain shows %q as %s", e.Reason, e.Code)
	}
	e = outcome.Explain(outcome.Upstream.From(errors.New("dial 10.0.0.1"), "the server did not answer"))
	if e.Code != outcome.Upstream || e.Reason != "the server did not answer" {
		t.Errorf("Explain = %s %q", e.Code, e.Reason)
	}
}

func TestIsFindsTheCode(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("writing: %w", outcome.Conflict.Because("x"))
	if !errors.Is(err, outcome.Conflict) || errors.Is(err, outcome.NotFound) {
		t.Error("errors.Is does not go by the code")
	}
}
