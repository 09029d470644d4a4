package sandbox

import (
	"fmt"
	"os"
	"strconv"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

const (
	leastLandlock  = 3 // before it (Linux 6.2) a program could empty files that it cannot read
	signalLandlock = 6 // from here on (Linux 6.12) signals and abstract sockets stay inside
)

// Supported looks at this kernel.
func Supported() Support {
	version, err := ll.LandlockGetABIVersion()
	switch {
	case err != nil:
		return Support{Problem: fmt.Sprintf("this kernel has no Landlock, or was started without it (%v)", err)}
	case version < leastLandlock:
		return Support{Landlock: version, Problem: "this kernel's Landlock is too old: it must be Linux 6.2 or newer"}
	case auditArch == 0:
		return Support{Landlock: version, Problem: "there is no filter of system calls for this processor, only for x86-64 and ARM64"}
	}
	s := Support{Landlock: version}
	if version < signalLandlock {
		s.Gaps = append(s.Gaps, "before Linux 6.12 a program of the same user can send signals to the gateway, and so end it")
	}
	return s
}

// restrict lets this process, on all its threads, reach nothing but what every program may, what belongs to the program
// and what the order names.
func restrict(o order) error {
	if problem := Supported().Problem; problem != "" {
		return fmt.Errorf("%w: %s", ErrUnable, problem)
	}
	rules := []landlock.Rule{
		landlock.RODirs(systemFolders...).IgnoreIfMissing(),
		landlock.ROFiles(systemFiles...).IgnoreIfMissing(),
		landlock.RWFiles(systemWritable...).IgnoreIfMissing(),
		landlock.RODirs("/proc/" + strconv.Itoa(os.Getpid())).IgnoreIfMissing(), // the program, which has our number
	}
	for _, path := range o.own {
		if folder(path) {
			rules = append(rules, landlock.RODirs(path).IgnoreIfMissing())
		} else {
			rules = append(rules, landlock.ROFiles(path).IgnoreIfMissing())
		}
	}
	for _, path := range o.read {
		pinned, err := pin(path)
		switch {
		case err != nil:
			return err
		case folder(path):
			rules = append(rules, landlock.RODirs(pinned))
		default:
			rules = append(rules, landlock.ROFiles(pinned))
		}
	}
	for _, path := range append(list{o.home}, o.write...) {
		pinned, err := pin(path)
		switch {
		case err != nil:
			return err
		case folder(path):
			rules = append(rules, landlock.RWDirs(pinned).WithRefer())
		default:
			rules = append(rules, landlock.RWFiles(pinned))
		}
	}
	c := landlock.V11
	if Network(o.network) == Any {
		c.HandledAccessNet = 0
	}
	if o.unix {
		c.HandledAccessFS &^= ll.AccessFSResolveUnix
	}
	if err := c.BestEffort().Restrict(rules...); err != nil {
		return fmt.Errorf("confining the program: %w", err)
	}
	return nil
}
