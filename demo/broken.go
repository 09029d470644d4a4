//go:build breakable

package demo

import "gatehouse/gate"

// breakCheck switches one check off, to show that the tour notices.
func breakCheck(name string) error { return gate.Break(name) }
