//go:build !breakable

package demo

import "gatehouse/outcome"

// breakCheck refuses: no check of a real build can be switched off.
func breakCheck(string) error {
	return outcome.Invalid.Because("--break works only in builds that are made to show that the tour notices: go build -tags breakable")
}
