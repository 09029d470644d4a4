//go:build !breakable

package demo_test

import (
	"errors"
	"strings"
	"testing"

	"gatehouse/demo"
)

func TestTheTourEndsWell(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	err := demo.Run(t.Context(), demo.Config{Once: true, Data: t.TempDir(), Listen: "127.0.0.1:0", Out: &out})
	t.Log("\n" + out.String())
	if err != nil {
		t.Fatal(err)
	}
}

func TestNoCheckOfARealBuildCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	err := demo.Run(t.Context(), demo.Config{Once: true, Data: t.TempDir(), Listen: "127.0.0.1:0", Break: "permission", Out: &out})
	if err == nil || errors.Is(err, demo.ErrTour) || out.String() != "" {
		t.Errorf("--break in a real build: %v\n%s", err, out.String())
	}
}
