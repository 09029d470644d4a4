package secret_test

import (
	"errors"
	"fmt"
	"testing"

	"gatehouse/secret"
)

func TestRefReadsWhenAsked(t *testing.T) {
	t.Parallel()
	reads := 0
	ref := secret.NewRef("environment variable X", func() (secret.Text, error) {
		reads++
		return secret.New(value), nil
	})
	if ref.IsZero() || reads != 0 {
		t.Errorf("IsZero = %v, read %d times before anybody asked", ref.IsZero(), reads)
	}
	if got := fmt.Sprintf("%v %s", ref, ref); got != "environment variable X environment variable X" || reads != 0 {
		t.Errorf("printed as %q after %d reads", got, reads)
	}
	got, err := ref.Resolve()
	if err != nil || got.Reveal() != value || reads != 1 {
		t.Errorf("Resolve = %v, %v after %d reads", got.Reveal(), err, reads)
	}
}

func TestZeroRefRefersToNothing(t *testing.T) {
	t.Parallel()
	var ref secret.Ref
	if _, err := ref.Resolve(); !errors.Is(err, secret.ErrNoReference) {
		t.Errorf("Resolve = %v, want %v", err, secret.ErrNoReference)
	}
	if !ref.IsZero() || ref.String() != "nothing" {
		t.Errorf("zero Ref: IsZero %v, String %q", ref.IsZero(), ref)
	}
}
