package gate

import "time"

// Scheduled is a module with work that has to be done again and again. Each run is a call like any other, made by a job,
// with a row in the log.
type Scheduled interface {
	Module
	Jobs() []Job
}

// Job is one tool, for jobs only, that is called without arguments at start and then after each interval.
type Job struct {
	Tool  ToolName
	Every time.Duration
	Once  bool // where replicas share the stores one of them does it for all; false: each does, for what is its own
}
