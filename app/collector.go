package app

import (
	"runtime"
	"runtime/debug"
)

// relaxed is the heap's growth, in per cent, between two collections. Go's own 100 costs a gateway under load a tenth of
// its CPU, because what lives is small beside what calls leave behind; the price is some ten MiB.
const relaxed = 200

// RelaxCollector lets the process collect garbage less often, unless GOGC says something already. It is for programs whose
// whole work is the gateway, once at their start.
func RelaxCollector() {
	if usual := debug.SetGCPercent(relaxed); usual != 100 {
		debug.SetGCPercent(usual)
	}
}

// Settle gives the system back what only the start needed, so that a gateway at rest is small. Once, after a start.
func Settle() {
	runtime.GC() // buffers that are pooled go with the second collection; what reads migrations keeps twelve MiB of them
	debug.FreeOSMemory()
}
