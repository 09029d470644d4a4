package gatetest

import (
	"context"

	"gatehouse/gate"
	"gatehouse/policy"
)

// NoRules is a policy without rules, for tests that make a gate of their own.
type NoRules struct{}

var _ gate.Policy = NoRules{}

// Fit implements gate.Policy.
func (NoRules) Fit([]policy.Tool) error { return nil }

// Holds implements gate.Policy.
func (NoRules) Holds(context.Context, *policy.Tool, *policy.Call, string) (bool, error) {
	return false, nil
}

// Judge implements gate.Policy.
func (NoRules) Judge(context.Context, *policy.Tool, *policy.Call) (policy.Verdict, error) {
	return policy.Verdict{Decision: policy.Allow}, nil
}
