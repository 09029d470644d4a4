package cli

import (
	"runtime"
	"runtime/debug"
)

// versionCommand says which gatehouse this is.
type versionCommand struct{}

// build is what the binary knows of itself.
type build struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitzero"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// version reads what the Go tools wrote into the binary.
func version() build {
	b := build{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Commit = s.Value
		}
	}
	return b
}

// Run implements the command.
func (c *versionCommand) Run(r *run) error {
	b := version()
	if r.flags.JSON {
		return r.sayAsJSON(b)
	}
	return r.say("gatehouse %s (%s, %s)", b.Version, b.Go, b.Platform)
}
