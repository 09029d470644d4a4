package gate

import (
	"context"
	"time"

	"gatehouse/canon"
)

// Scheduled is a module with work that has to be done again and again. Each run is a call like any other, made by a job,
// with a row in the log.
type Scheduled interface {
	Module
	Jobs() []Job
}

// Job is one tool, for jobs only, that is called at start and then after each interval.
type Job struct {
	Tool  ToolName
	Every time.Duration
	// Jitter is the most by which a run comes later than that, by chance, so that not all gateways do it at once.
	Jitter time.Duration
	// Arguments are worked out before each run. The zero Value: there is nothing to do, and no call is made. nil: none.
	Arguments func(context.Context) (canon.Value, error)
	Once      bool // where replicas share the stores one of them does it for all; false: each does, for what is its own
}
